//! What is there when the server starts: namespaces, and the roles that everybody has.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::Api;
use crate::object;
use crate::store::Key;

const RBAC: &str = "rbac.authorization.k8s.io";

/// Makes what every cluster has.
pub(crate) fn fill(api: &Api) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        put(
            api,
            "/namespaces",
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            }),
        );
        put(
            api,
            "/serviceaccounts",
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name},
            }),
        );
    }
    for (name, rules, groups) in roles() {
        put(
            api,
            "rbac.authorization.k8s.io/clusterroles",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": name}, "rules": rules,
            }),
        );
        if groups.is_empty() {
            continue;
        }
        let subjects: Vec<_> = groups
            .iter()
            .map(|group| json!({"apiGroup": RBAC, "kind": "Group", "name": group}))
            .collect();
        put(
            api,
            "rbac.authorization.k8s.io/clusterrolebindings",
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name}, "subjects": subjects,
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
            }),
        );
    }
}

fn put(api: &Api, table: &str, mut object: Value) {
    for (name, value) in [
        ("uid", uuid::Uuid::new_v4().to_string()),
        ("creationTimestamp", object::now()),
    ] {
        object::set_meta(&mut object, name, Some(value.into()));
    }
    let table: Arc<str> = table.into();
    let key = Key::new(&table, object::namespace(&object), object::name(&object));
    api.store().put(key, object);
}

/// Name, rules, and the groups that have them.
fn roles() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let discovery = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    let public = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let all = "system:authenticated";
    vec![
        (
            "cluster-admin",
            json!([
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]),
            vec!["system:masters"],
        ),
        (
            "system:discovery",
            json!([{"nonResourceURLs": discovery, "verbs": ["get"]}]),
            vec![all],
        ),
        (
            "system:public-info-viewer",
            json!([{"nonResourceURLs": public, "verbs": ["get"]}]),
            vec![all, "system:unauthenticated"],
        ),
        (
            "system:basic-user",
            json!([
                {
                    "apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
                    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
                },
                {
                    "apiGroups": ["authentication.k8s.io"], "verbs": ["create"],
                    "resources": ["selfsubjectreviews"],
                },
            ]),
            vec![all],
        ),
        (
            "view",
            json!([{
                "apiGroups": ["", "apps", "batch", "discovery.k8s.io"],
                "verbs": ["get", "list", "watch"],
                "resources": [
                    "configmaps", "endpoints", "pods", "pods/status", "services",
                    "serviceaccounts", "events", "namespaces", "deployments", "replicasets",
                    "statefulsets", "daemonsets", "jobs", "cronjobs", "endpointslices",
                ],
            }]),
            vec![],
        ),
    ]
}
