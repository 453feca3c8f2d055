//! Instances from an Amalgam8 registry, rules from an Amalgam8 controller.
//!
//! Both are a [`watch::client`](crate::watch::client) with the right path; the servers may be
//! ours or the original ones, which are polled.

use std::time::Duration;

use crate::peer::Peer;
use crate::rule::RuleSource;
use crate::source::Discovery;
use crate::watch::client::Client;

/// Where a registry lists its instances.
pub const INSTANCES_PATH: &str = "/api/v1/instances";

/// Where a controller lists its rules.
pub const RULES_PATH: &str = "/v1/rules";

/// The instances of a registry that take requests: those that it lists without a filter.
pub fn instances(registry: Peer, poll: Duration) -> Box<Discovery> {
    Box::new(Client::new(registry, INSTANCES_PATH, poll))
}

/// The rules of a controller.
pub fn rules(controller: Peer, poll: Duration) -> Box<RuleSource> {
    Box::new(Client::new(controller, RULES_PATH, poll))
}
