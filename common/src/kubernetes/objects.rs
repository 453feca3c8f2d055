//! The objects that are followed, with no more of each than somebody here reads.
//!
//! The client library's own types know every member; reading them costs a sidecar more code
//! and memory than its routes. Members are those of the Kubernetes API, version 1.36; each may
//! be absent, or of an object that is newer than we are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A kind of object, by the names that the paths of the API have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the oldest kinds.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    /// Whether objects are asked for without all but their metadata.
    pub(super) metadata_only: bool,
}

/// Pods.
pub const PODS: Resource = Resource::new("", "v1", "pods");
/// Services.
pub const SERVICES: Resource = Resource::new("", "v1", "services");
/// The addresses of services.
pub const ENDPOINT_SLICES: Resource = Resource::new("discovery.k8s.io", "v1", "endpointslices");
/// Rules.
pub const ROUTING_RULES: Resource = Resource::new("amalgam8.io", "v1", "routingrules");
/// Definitions of kinds; they are of the cluster, not of a namespace.
pub const DEFINITIONS: Resource =
    Resource::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");

impl Resource {
    const fn new(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self {
            group,
            version,
            plural,
            metadata_only: false,
        }
    }

    /// The same, of which only the metadata is asked for.
    pub const fn metadata_only(self) -> Self {
        Self {
            metadata_only: true,
            ..self
        }
    }

    /// Where the API server tells which kinds there are in the group.
    pub(super) fn siblings(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// Where its objects are: those of `namespace`, or of the whole cluster.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let (siblings, plural) = (self.siblings(), self.plural);
        match namespace {
            Some(namespace) => format!("{siblings}/namespaces/{namespace}/{plural}"),
            None => format!("{siblings}/{plural}"),
        }
    }
}

/// What every object says of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// An object of which nothing else is looked at.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Head {
    pub(crate) metadata: Metadata,
}

/// A rule, of any shape.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RuleObject {
    pub(crate) metadata: Metadata,
    pub(crate) spec: Option<Value>,
}

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EndpointSlice {
    pub(crate) metadata: Metadata,
    pub(crate) address_type: String,
    /// Both lists are `null` when they are empty.
    pub(crate) ports: Option<Vec<PortObject>>,
    pub(crate) endpoints: Option<Vec<Endpoint>>,
}

/// One of a slice's endpoints.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Endpoint {
    pub(crate) addresses: Vec<String>,
    pub(crate) conditions: Option<Conditions>,
    pub(crate) target_ref: Option<TargetRef>,
}

/// Whether an endpoint takes requests.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    pub(crate) ready: Option<bool>,
    pub(crate) serving: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

/// What an endpoint is an address of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TargetRef {
    pub(crate) kind: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) uid: Option<String>,
}

/// A port of a slice or of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PortObject {
    pub(crate) name: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) protocol: Option<String>,
    pub(crate) app_protocol: Option<String>,
    /// Of a Service only.
    pub(crate) target_port: Option<TargetPort>,
}

/// A port of a pod: its number, or its name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum TargetPort {
    Number(i32),
    Name(String),
}

/// `v1` Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) spec: ServiceSpec,
}

/// What a Service is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) selector: Option<BTreeMap<String, String>>,
    pub(crate) ports: Option<Vec<PortObject>>,
    pub(crate) external_name: Option<String>,
    pub(crate) ip_families: Option<Vec<String>>,
}

/// `v1` Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
    pub(crate) status: PodStatus,
}

/// What a pod runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Option<Vec<Container>>,
}

/// One of a pod's containers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    pub(crate) ports: Option<Vec<ContainerPort>>,
}

/// A port that a container has a name for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub(crate) name: Option<String>,
    pub(crate) container_port: i32,
}

/// Where a pod is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PodStatus {
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
}
