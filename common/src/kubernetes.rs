//! What the adapters for Kubernetes share: the `RoutingRule` resource, the way to a cluster, how
//! objects are followed, and who a pod is. Without the feature only the settings are there.
//!
//! The sidecar's sources, the registry's catalog, the controller's book and the command all
//! start here; what each makes of the objects stands with it.

#[cfg(feature = "kubernetes")]
mod cluster;
mod config;
#[cfg(feature = "kubernetes")]
mod follow;
#[cfg(feature = "kubernetes")]
mod labels;
#[cfg(feature = "kubernetes")]
mod objects;
#[cfg(feature = "kubernetes")]
mod port;
#[cfg(feature = "kubernetes")]
pub mod routing_rule;
#[cfg(feature = "kubernetes")]
pub mod rule_objects;
#[cfg(feature = "kubernetes")]
pub mod whoami;

#[cfg(feature = "kubernetes")]
pub use cluster::{Cluster, Named, OpenError};
pub use config::{Config, Names};
#[cfg(feature = "kubernetes")]
pub use follow::{Told, Trouble, Wanted, api_reason, follow, lacking_permission};
#[cfg(feature = "kubernetes")]
pub(crate) use labels::{selects, tags};
#[cfg(feature = "kubernetes")]
pub(crate) use objects::{
    Conditions, Container, Endpoint, EndpointSlice, Head, Pod, PortObject, RuleObject, Service,
    TargetPort,
};
#[cfg(feature = "kubernetes")]
pub use objects::{DEFINITIONS, ENDPOINT_SLICES, PODS, ROUTING_RULES, Resource, SERVICES};
#[cfg(feature = "kubernetes")]
pub(crate) use port::Port;
#[cfg(feature = "kubernetes")]
pub use routing_rule::{RoutingRule, RoutingRuleSpec, RoutingRuleStatus};
