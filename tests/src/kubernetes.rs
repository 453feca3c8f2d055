//! A cluster without nodes: the API server of the test kit, pods that are instances in the
//! test's own process, and controllers and sidecars as real processes with the permissions of
//! their manifest.

use std::net::SocketAddr;
use std::path::PathBuf;

use a8_apiserver::{ApiServer, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fabric::Sidecar;
use crate::instance::{Instance, Speaks};
use crate::{ports, wait};

const CRD: &str = include_str!("../../kubernetes/crd.yaml");
const RBAC: &str = include_str!("../../kubernetes/rbac.yaml");

/// The namespace that everything is in.
pub const NAMESPACE: &str = "default";
/// The account of controllers in the manifest.
pub const CONTROLLER: &str = "a8-controller";
const RULES: &str = "routingrules.amalgam8.io";
const SLICES: &str = "endpointslices.discovery.k8s.io";

/// A running API server with the manifests of permissions and, mostly, of the resource.
pub struct Cluster {
    /// The API server, and its faults.
    pub api: ApiServer,
    folder: TempDir,
}

/// A pod that takes requests.
pub struct Pod {
    /// Its name.
    pub name: String,
    instance: Instance,
}

impl Cluster {
    /// One that knows RoutingRules.
    pub async fn start() -> Self {
        let cluster = Self::bare().await;
        cluster.api.apply_yaml(CRD).await;
        cluster
    }

    /// One in which nobody has installed anything but permissions.
    pub async fn bare() -> Self {
        let api = ApiServer::start(Options::default()).await;
        api.apply_yaml(RBAC).await;
        let folder = tempfile::tempdir().unwrap();
        let cluster = Self { api, folder };
        std::fs::write(cluster.authority(), cluster.api.ca_pem()).unwrap();
        cluster
    }

    /// Installs the definition of the resource.
    pub async fn install(&self) {
        self.api.apply_yaml(CRD).await;
    }

    /// Makes a pod of `service`, ready, with the label `version`. It answers by itself.
    pub async fn pod(&self, service: &str, version: &str) -> Pod {
        let instance = Instance::start(Speaks::One, service, version).await;
        let labels = json!({"app": service, "version": version});
        let name = self.pod_at(service, &labels, instance.address);
        Pod { name, instance }
    }

    /// Makes a pod of `service`, ready, for what listens at `address`; its name.
    pub fn pod_at(&self, service: &str, labels: &Value, address: SocketAddr) -> String {
        let name = format!("pod-{}", address.port());
        self.put_pod(&name, labels);
        self.put_slice(&name, service, address.port(), true);
        name
    }

    /// Gives a pod these labels and no others.
    pub fn label(&self, pod: &Pod, labels: &Value) {
        self.put_pod(&pod.name, labels);
    }

    /// Says whether a pod of `service` is ready.
    pub fn slice(&self, pod: &Pod, service: &str, ready: bool) {
        self.put_slice(&pod.name, service, pod.instance.address.port(), ready);
    }

    /// Makes or changes a pod.
    pub fn put_pod(&self, name: &str, labels: &Value) {
        // Loopback is no address that a real API server would take.
        self.api.put_unchecked(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels,
                "uid": format!("uid-{name}")},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1"},
        }));
    }

    /// Makes or changes the slice that has this pod alone.
    pub fn put_slice(&self, pod: &str, service: &str, port: u16, ready: bool) {
        let uid = self.api.get("pods", NAMESPACE, pod).unwrap()["metadata"]["uid"].clone();
        self.api.put_unchecked(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": slice_of(pod, service), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": ["127.0.0.1"],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE, "uid": uid},
            }],
        }));
    }

    /// Takes a pod away, and its slice of `service`.
    pub fn take_away(&self, pod: &str, service: &str) {
        self.api.delete(SLICES, NAMESPACE, &slice_of(pod, service));
        self.api.delete("pods", NAMESPACE, pod);
    }

    /// Takes a pod out of `service`.
    pub fn no_slice(&self, pod: &Pod, service: &str) {
        self.api
            .delete(SLICES, NAMESPACE, &slice_of(&pod.name, service));
    }

    /// Writes a rule, as kubectl would.
    pub fn rule(&self, name: &str, spec: &Value) {
        self.api.put(object(name, spec));
    }

    /// Writes what the definition would not let pass.
    pub fn rule_unchecked(&self, name: &str, spec: &Value) {
        self.api.put_unchecked(object(name, spec));
    }

    /// Takes a rule away.
    pub fn no_rule(&self, name: &str) {
        self.api.delete(RULES, NAMESPACE, name);
    }

    /// What a controller is to be started with.
    pub fn controller_args(&self) -> Vec<String> {
        let token = self.api.service_account_token(NAMESPACE, CONTROLLER);
        vec![
            "--database_type=kubernetes".to_owned(),
            format!("--database_namespace={NAMESPACE}"),
            format!("--kubernetes_url={}", self.api.url()),
            format!("--kubernetes_ca_cert_file={}", self.authority().display()),
            format!("--kubernetes_token={token}"),
        ]
    }

    /// The file with the certificate that the API server is verified with.
    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A sidecar of the account that the manifests have for it, with its token.
    pub async fn sidecar(&self, service: &str) -> (Sidecar, String) {
        let token = self.sidecar_token();
        let sidecar = self
            .sidecar_as(&token, json!({"service": {"name": service}}))
            .await;
        (sidecar, token)
    }

    /// A token of the account that the manifests have for sidecars.
    pub fn sidecar_token(&self) -> String {
        self.api.service_account_token(NAMESPACE, "a8-sidecar")
    }

    /// A sidecar with a token, and with `more` in its configuration.
    pub async fn sidecar_as(&self, token: &str, more: Value) -> Sidecar {
        let (file, port, admin) = self.config(token, more);
        Sidecar::start(&file, port, admin).await
    }

    /// The same, without waiting until it is ready.
    pub async fn sidecar_begun(&self, token: &str, more: Value) -> Sidecar {
        let (file, port, admin) = self.config(token, more);
        Sidecar::begin(&file, port, admin).await
    }

    /// A configuration, and the ports of proxy and admin.
    fn config(&self, token: &str, more: Value) -> (PathBuf, u16, u16) {
        let (port, admin) = (ports::free(), ports::free());
        let file = |name: &str| self.folder.path().join(format!("{port}-{name}"));
        let mut config = json!({
            "proxy": true,
            "discovery_adapter": "kubernetes",
            "rules_adapter": "kubernetes",
            "kubernetes": {"url": self.api.url(), "token": token, "ca_cert_file": self.authority()},
            "proxy_config": {
                "http_listener_port": port, "admin_port": admin, "worker_threads": 1,
                "access_log": file("access.log"),
            },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            match value {
                Value::Object(members) if config[key].is_object() => {
                    config[key].as_object_mut().unwrap().extend(members.clone());
                }
                value => config[key] = value.clone(),
            }
        }
        std::fs::write(file("sidecar.json"), config.to_string()).unwrap();
        (file("sidecar.json"), port, admin)
    }
}

fn object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec})
}

/// A rule that sends what goes to `service` to `version`.
pub fn to(service: &str, version: &str) -> Value {
    json!({"destination": service, "route": {"backends": [{"tags": [format!("version={version}")]}]}})
}

/// The name of the slice that has this pod alone.
fn slice_of(pod: &str, service: &str) -> String {
    format!("{service}-{pod}")
}

/// Which versions answer now: several requests, each of which must be answered.
pub async fn versions(sidecar: &Sidecar, service: &str) -> Result<Vec<String>, String> {
    let mut found = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let answer = sidecar.get(&format!("/{service}/"), None).await?;
        let (_, version) = answer.trim().split_once('/').ok_or("no instance")?;
        found.insert(version.to_owned());
    }
    Ok(found.into_iter().collect())
}

/// Waits until these versions answer, and no others.
pub async fn answered_by(sidecar: &Sidecar, service: &str, wanted: &[&str]) {
    wait::until(&format!("{service} by {wanted:?}"), || async {
        match versions(sidecar, service).await {
            Ok(found) if found == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// What the sidecar says of `kind`, which is `rules` or `instances`.
pub async fn link(sidecar: &Sidecar, kind: &str) -> (bool, String) {
    let state = sidecar.admin("/state").await;
    let problem = state[kind]["problem"].as_str().unwrap_or_default();
    (state[kind]["connected"] == true, problem.to_owned())
}

/// Waits until the sidecar says of `kind` that the API server is heard of, or not, and `why`.
pub async fn told(sidecar: &Sidecar, kind: &str, connected: bool, why: &str) {
    wait::until(&format!("{kind}: {connected} {why:?}"), || async {
        let now = link(sidecar, kind).await;
        match now.0 == connected && now.1.contains(why) {
            true => Ok(()),
            false => Err(format!("{now:?}")),
        }
    })
    .await;
}
