//! The manifests of `kubernetes/`, for the namespace and the images that are wanted.

use super::NAMESPACE;
use crate::args::Install;
use crate::yaml::{self, Node};

const CRD: &str = include_str!("../../../../kubernetes/crd.yaml");
const REST: [&str; 3] = [
    include_str!("../../../../kubernetes/rbac.yaml"),
    include_str!("../../../../kubernetes/controlplane.yaml"),
    include_str!("../../../../kubernetes/gateway.yaml"),
];

/// All objects, in the order in which they are to be made.
pub(super) fn all(install: &Install, namespace: &str) -> Vec<Node> {
    let mut objects = documents(CRD);
    if !install.crd_only {
        objects.extend(REST.iter().flat_map(|text| documents(text)));
    }
    for object in &mut objects {
        place(object, namespace);
        if install.cluster_ip {
            hide(object);
        }
        if let Some(containers) = containers(object) {
            for container in containers {
                let named = container.get("image").and_then(Node::as_str);
                if let Some(image) = named.map(|named| image(named, install)) {
                    container.set("image", Node::text(image));
                }
            }
        }
    }
    objects
}

fn documents(text: &str) -> Vec<Node> {
    // A test reads them all.
    yaml::documents(text).unwrap_or_default()
}

/// Says which namespace the object is in, and the accounts that it is about.
fn place(object: &mut Node, namespace: &str) {
    let kind = object.get("kind").and_then(Node::as_str);
    let kind = kind.unwrap_or_default().to_owned();
    let of_cluster = matches!(
        kind.as_str(),
        "CustomResourceDefinition" | "ClusterRole" | "ClusterRoleBinding"
    );
    if let Some(metadata) = object.get_mut("metadata") {
        if !of_cluster {
            metadata.set("namespace", Node::text(namespace));
        } else if kind == "ClusterRoleBinding" && namespace != NAMESPACE {
            // One for each namespace: another's would take the place of this one's.
            let name = metadata.get("name").and_then(Node::as_str);
            let name = format!("{}-{namespace}", name.unwrap_or_default());
            metadata.set("name", Node::text(name));
        }
    }
    let subjects = object.get_mut("subjects").and_then(Node::as_list_mut);
    for subject in subjects.into_iter().flatten() {
        subject.set("namespace", Node::text(namespace));
    }
}

/// Takes a Service from the ports of the nodes.
fn hide(object: &mut Node) {
    let Some(spec) = object.get_mut("spec") else {
        return;
    };
    if spec.get("type").and_then(Node::as_str) == Some("NodePort") {
        spec.set("type", Node::text("ClusterIP"));
        let ports = spec.get_mut("ports").and_then(Node::as_list_mut);
        for port in ports.into_iter().flatten() {
            port.remove("nodePort");
        }
    }
}

fn containers(object: &mut Node) -> Option<&mut Vec<Node>> {
    let path = ["spec", "template", "spec", "containers"];
    let mut at = object;
    for name in path {
        at = at.get_mut(name)?;
    }
    at.as_list_mut()
}

fn image(named: &str, install: &Install) -> String {
    let (name, tag) = named.split_once(':').unwrap_or((named, "latest"));
    let tag = install.tag.as_deref().unwrap_or(tag);
    match install.image_prefix.as_deref() {
        None | Some("") => format!("{name}:{tag}"),
        Some(prefix) => format!("{}/{name}:{tag}", prefix.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(install: &Install, namespace: &str) -> String {
        yaml::print(&all(install, namespace))
    }

    #[test]
    fn they_are_the_files_for_another_place() {
        let install = Install {
            image_prefix: Some("registry.example.com/a8/".to_owned()),
            tag: Some("2.0".to_owned()),
            ..Install::default()
        };
        let text = printed(&install, "shop");
        assert!(!text.contains("default\n"), "{text}");
        let objects = all(&install, "shop");
        let of = |kind: &str| {
            let is = |object: &&Node| object.get("kind").and_then(Node::as_str) == Some(kind);
            objects.iter().filter(is).collect::<Vec<_>>()
        };
        for binding in [of("RoleBinding"), of("ClusterRoleBinding")].concat() {
            let subjects = binding.get("subjects").and_then(Node::as_list).unwrap();
            let namespace = subjects[0].get("namespace").and_then(Node::as_str);
            assert_eq!(namespace, Some("shop"));
        }
        assert_eq!(of("Deployment").len(), 3);
        for image in ["a8-controller", "a8-registry", "a8-sidecar"] {
            let image = format!("image: registry.example.com/a8/{image}:2.0\n");
            assert!(text.contains(&image), "{text}");
        }
        assert!(text.contains("name: a8-controller-shop\n"), "{text}");
        assert!(text.contains("nodePort: 31200"), "{text}");
    }

    #[test]
    fn parts_can_be_left_out() {
        let crd_only = Install {
            crd_only: true,
            ..Install::default()
        };
        let objects = all(&crd_only, NAMESPACE);
        assert_eq!(objects.len(), 1);
        let hidden = Install {
            cluster_ip: true,
            ..Install::default()
        };
        let text = printed(&hidden, NAMESPACE);
        assert!(
            !text.contains("nodePort") && !text.contains("NodePort"),
            "{text}"
        );
        assert!(text.contains("image: a8-sidecar:latest\n"), "{text}");
    }
}
