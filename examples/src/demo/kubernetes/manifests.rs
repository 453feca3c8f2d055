//! What the demo applies: the manifests that anybody may apply, in a namespace of their own.

use std::collections::BTreeSet;

use kube::core::DynamicObject;
use serde_json::Value;

use super::super::Error;

const FILES: [&str; 4] = [
    include_str!("../../../../kubernetes/rbac.yaml"),
    include_str!("../../../../kubernetes/controlplane.yaml"),
    include_str!("../../../../kubernetes/gateway.yaml"),
    include_str!("../../../k8s-bookinfo.yaml"),
];

/// All objects for `namespace`, in the order in which they are applied. What is the whole
/// cluster's is left out: others may use it, and the demo can do without.
pub(super) fn objects(namespace: &str, prefix: Option<&str>) -> Result<Vec<DynamicObject>, Error> {
    let mut objects = Vec::new();
    for text in FILES {
        for mut document in documents(text)? {
            let kind = document["kind"].as_str().unwrap_or_default();
            if kind.starts_with("Cluster") {
                continue;
            }
            settle(&mut document, namespace, prefix.unwrap_or_default());
            objects.push(serde_json::from_value(document).map_err(broken)?);
        }
    }
    Ok(objects)
}

/// The names of all images.
pub(super) fn images() -> BTreeSet<String> {
    let documents = FILES.into_iter().filter_map(|text| documents(text).ok());
    let mut found = BTreeSet::new();
    for mut document in documents.flatten() {
        each_container(&mut document, |container| {
            found.extend(container["image"].as_str().map(str::to_owned));
        });
    }
    found
}

fn documents(text: &str) -> Result<Vec<Value>, Error> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).map_err(broken)?;
    Ok(all
        .into_iter()
        .filter(|document| !document.is_null())
        .collect())
}

fn broken(e: impl std::fmt::Display) -> Error {
    Error::Control {
        what: "reading the manifests".to_owned(),
        why: e.to_string(),
    }
}

fn settle(document: &mut Value, namespace: &str, prefix: &str) {
    document["metadata"]["namespace"] = namespace.into();
    let subjects = document.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        subject["namespace"] = namespace.into();
    }
    // Ports of the nodes are few, and somebody may have them.
    if document["kind"] == "Service"
        && let Some(spec) = document["spec"].as_object_mut()
    {
        spec.remove("type");
        for port in spec
            .get_mut("ports")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            port.as_object_mut().map(|port| port.remove("nodePort"));
        }
    }
    each_container(document, |container| {
        let image = container["image"].as_str().unwrap_or_default();
        container["image"] = format!("{prefix}{image}").into();
    });
}

fn each_container(document: &mut Value, mut act: impl FnMut(&mut Value)) {
    for list in ["containers", "initContainers"] {
        let path = format!("/spec/template/spec/{list}");
        let containers = document.pointer_mut(&path).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(&mut act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_in_the_namespace_and_nothing_is_the_clusters() {
        let objects = objects("there", Some("example.org/")).unwrap();
        assert!(objects.len() > 20);
        for object in &objects {
            assert_eq!(object.metadata.namespace.as_deref(), Some("there"));
            let text = object.data.to_string();
            assert!(
                !text.contains("nodePort") && !text.contains("NodePort"),
                "{text}"
            );
            assert!(!text.contains("\"default\""), "{text}");
        }
        let images = images();
        assert_eq!(images.len(), 9, "{images:?}");
    }
}
