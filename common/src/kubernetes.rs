//! What the adapters for Kubernetes share: the [`RoutingRule`] resource, the way to a cluster,
//! and how objects are followed.
//!
//! The sidecar's sources, the registry's catalog, the controller's book and the command all
//! start here; what each makes of the objects stands with it.

mod cluster;
mod config;
mod follow;
pub mod routing_rule;

pub use cluster::{Cluster, OpenError};
pub use config::{Config, Names};
pub use follow::{Told, api_reason, follow, reason};
pub use routing_rule::{RoutingRule, RoutingRuleSpec, RoutingRuleStatus};
