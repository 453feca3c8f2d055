//! All groups with all their versions and kinds in one answer.

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::kinds::{Kind, Kinds};

/// Whether a client would rather have this than anything else that we can write.
pub(super) fn is_wanted(call: &Call<'_>) -> bool {
    let clauses = call.accept.unwrap_or_default().split(',');
    let mut known = clauses.map(str::trim).filter(|clause| {
        let kind = clause.split(';').next().unwrap_or_default().trim();
        kind == "application/json" && !clause.contains("v=v2beta1")
    });
    known
        .next()
        .is_some_and(|clause| clause.contains("as=APIGroupDiscoveryList"))
}

/// The groups: the one without a name, or all others.
pub(super) fn all(kinds: &Kinds, core: bool) -> Value {
    let groups = if core {
        vec![(String::new(), vec!["v1".to_owned()])]
    } else {
        kinds.groups()
    };
    let items: Vec<_> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<_> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<_> = kinds.of(group, version).map(|k| resource(k)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let mut meta = json!({"creationTimestamp": null});
            if !group.is_empty() {
                meta["name"] = group.as_str().into();
            }
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn resource(kind: &Kind) -> Value {
    let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": gvk,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs(),
    });
    if !kind.short.is_empty() {
        resource["shortNames"] = json!(kind.short);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    if kind.status {
        resource["subresources"] = json!([
            {"subresource": "status", "responseKind": gvk, "verbs": ["get", "patch", "update"]},
        ]);
    }
    if kind.is("", "serviceaccounts") {
        let token = json!({
            "group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest",
        });
        resource["subresources"] = json!([
            {"subresource": "token", "responseKind": token, "verbs": ["create"]},
        ]);
    }
    resource
}
