//! The container that is injected: a native sidecar, which starts before the containers of its
//! pod and ends after them.

use serde_json::{Value, json};

use crate::args::{Inject, LogLevel};
use crate::yaml::Node;

/// The name of the container.
pub(super) const NAME: &str = "a8-sidecar";
/// The last part of the name of its image, wherever that comes from.
const IMAGE: &str = "a8-sidecar";
/// The role that may read what a sidecar reads, and the account that has it.
pub(super) const ROLE: &str = "a8-sidecar";
/// The volume that holds the account's token, where pods are not given it.
pub(super) const VOLUME: &str = "a8-account";
/// The ports that it takes.
pub(super) const PORTS: [u16; 2] = [6379, 8001];

/// Where a pod has the token of its account.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Whether a container is a sidecar, by its name or that of its image.
pub(crate) fn is_sidecar(name: &str, image: &str) -> bool {
    let image = image.rsplit('/').next().unwrap_or(image);
    let image = image.split(['@', ':']).next().unwrap_or(image);
    name == NAME || image == IMAGE
}

/// The container to be.
pub(crate) struct Sidecar {
    image: String,
    log_level: Option<LogLevel>,
    /// Further settings, by their variables.
    settings: Vec<(String, String)>,
    account: String,
}

impl Sidecar {
    pub(crate) fn new(asked: &Inject) -> Self {
        Self {
            image: asked.image.clone(),
            log_level: asked.log_level,
            settings: asked.env.clone(),
            account: asked.service_account.clone(),
        }
    }

    /// The account of pods that have none.
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    /// The container; `volume`: with the token from the volume of its own.
    pub(super) fn container(&self, volume: bool) -> Node {
        let mut env = vec![
            json!({"name": "A8_PROXY", "value": "true"}),
            json!({"name": "A8_DISCOVERY_ADAPTER", "value": "kubernetes"}),
            json!({"name": "A8_RULES_ADAPTER", "value": "kubernetes"}),
            from_pod("A8_KUBERNETES_POD_NAME", "metadata.name"),
            from_pod("A8_KUBERNETES_NAMESPACE", "metadata.namespace"),
            // The kubelet asks at the pod's address.
            json!({"name": "A8_ADMIN_HOST", "value": "0.0.0.0"}),
        ];
        if let Some(level) = self.log_level {
            env.push(json!({"name": "A8_LOG_LEVEL", "value": level.as_str()}));
        }
        for (name, value) in &self.settings {
            env.retain(|known| known["name"] != **name);
            env.push(json!({"name": name, "value": value}));
        }
        let [proxy, admin] = PORTS;
        let mut container = json!({
            "name": NAME,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "restartPolicy": "Always",
            "env": env,
            "ports": [
                {"name": "a8-proxy", "containerPort": proxy},
                {"name": "a8-admin", "containerPort": admin},
            ],
            "startupProbe": {
                "httpGet": {"path": "/ready", "port": "a8-admin"},
                "periodSeconds": 1,
                "failureThreshold": 60,
            },
            "livenessProbe": {"httpGet": {"path": "/health", "port": "a8-admin"}},
            "resources": {
                "requests": {"cpu": "20m", "memory": "24Mi"},
                "limits": {"memory": "128Mi"},
            },
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "runAsGroup": 65534,
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        });
        if volume {
            let mount = json!({"name": VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true});
            container["volumeMounts"] = json!([mount]);
        }
        container.into()
    }
}

fn from_pod(name: &str, field: &str) -> Value {
    // The version is said as the cluster fills it in: to two appliers a reference is one value.
    let field = json!({"apiVersion": "v1", "fieldPath": field});
    json!({"name": name, "valueFrom": {"fieldRef": field}})
}

/// The token of the pod's account, as pods are given it.
pub(super) fn volume() -> Node {
    let sources = json!([
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }},
        {"downwardAPI": {
            "items": [{
                "path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
            }],
        }},
    ]);
    json!({"name": VOLUME, "projected": {"defaultMode": 0o444, "sources": sources}}).into()
}
