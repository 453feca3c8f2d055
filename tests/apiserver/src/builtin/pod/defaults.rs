//! What pods are given that they do not ask for.

use serde_json::{Value, json};

use super::super::{items_mut, or, text};
use crate::object;

/// Fills in the specification of a pod.
pub(in crate::builtin) fn default(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    or(spec, "restartPolicy", "Always");
    or(spec, "terminationGracePeriodSeconds", 30);
    or(spec, "dnsPolicy", "ClusterFirst");
    or(spec, "schedulerName", "default-scheduler");
    or(spec, "securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        for container in items_mut(spec, list) {
            default_container(container);
        }
    }
    for volume in items_mut(spec, "volumes") {
        default_volume(volume);
    }
    let account = text(spec, "serviceAccountName").to_owned();
    if !account.is_empty() {
        or(spec, "serviceAccount", account);
    }
}

/// What the real server adds to every pod that comes in.
pub(in crate::builtin) fn admitted(spec: &mut Value) {
    or(spec, "priority", 0);
    or(spec, "preemptionPolicy", "PreemptLowerPriority");
    let tolerations = ["not-ready", "unreachable"].map(|what| {
        json!({
            "key": format!("node.kubernetes.io/{what}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300,
        })
    });
    for toleration in tolerations {
        let list = spec
            .as_object_mut()
            .map(|spec| spec.entry("tolerations").or_insert_with(|| json!([])));
        if let Some(Value::Array(list)) = list
            && !list.iter().any(|one| one["key"] == toleration["key"])
        {
            list.push(toleration);
        }
    }
}

fn default_volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|members| members.len() == 1) {
        or(volume, "emptyDir", json!({}));
    }
    for kind in ["configMap", "secret", "projected", "downwardAPI"] {
        let Some(source) = volume.get_mut(kind) else {
            continue;
        };
        or(source, "defaultMode", 420);
        for part in items_mut(source, "sources") {
            if let Some(token) = part.get_mut("serviceAccountToken") {
                or(token, "expirationSeconds", 3600);
            }
        }
        for item in items_mut(source, "items") {
            default_field(item);
        }
    }
    if let Some(host) = volume.get_mut("hostPath") {
        or(host, "type", "");
    }
}

fn default_field(holder: &mut Value) {
    if let Some(field) = holder.get_mut("fieldRef") {
        or(field, "apiVersion", "v1");
    }
}

fn default_container(container: &mut Value) {
    let image = text(container, "image").to_owned();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = tag.ends_with(":latest") || !tag.contains([':', '@']);
    or(
        container,
        "imagePullPolicy",
        if latest { "Always" } else { "IfNotPresent" },
    );
    or(container, "terminationMessagePath", "/dev/termination-log");
    or(container, "terminationMessagePolicy", "File");
    or(container, "resources", json!({}));
    for port in items_mut(container, "ports") {
        or(port, "protocol", "TCP");
    }
    for variable in items_mut(container, "env") {
        if let Some(from) = variable.get_mut("valueFrom") {
            default_field(from);
        }
    }
    if container["resources"]["limits"].is_object() {
        // What is not asked for is what is allowed.
        let limits = container["resources"]["limits"].clone();
        let requests = object::member_mut(&mut container["resources"], "requests");
        for (name, limit) in limits.as_object().into_iter().flatten() {
            requests
                .entry(name.clone())
                .or_insert_with(|| limit.clone());
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &mut container[name];
        if probe.is_object() {
            or(probe, "timeoutSeconds", 1);
            or(probe, "periodSeconds", 10);
            or(probe, "successThreshold", 1);
            or(probe, "failureThreshold", 3);
            if probe["httpGet"].is_object() {
                or(&mut probe["httpGet"], "scheme", "HTTP");
                or(&mut probe["httpGet"], "path", "/");
            }
        } else if probe.is_null()
            && let Some(members) = container.as_object_mut()
        {
            members.shift_remove(name);
        }
    }
}
