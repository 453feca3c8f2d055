//! What a decision leads to: some instances of a service, and how to spread over them.

use std::sync::Arc;

use a8_common::model::{RuleId, ServiceName, Tags};
use a8_common::rule::Balance;
use arc_swap::ArcSwap;
use http::HeaderValue;

use super::balance::Balancer;
use super::metrics::{Metrics, Stats};
use super::upstream::Upstream;

/// What tells a backend from the others; as long as this stays the same it keeps its
/// balancer and its counts through every change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The service that was asked for.
    pub destination: ServiceName,
    /// The rule; `None` is the default route.
    pub rule: Option<RuleId>,
    /// The service whose instances are meant.
    pub service: ServiceName,
    /// What an instance must carry.
    pub tags: Tags,
    /// How an instance is picked.
    pub balance: Balance,
}

/// The instances that qualify for a backend at one moment.
#[derive(Debug, Default)]
pub struct Members {
    /// Those that take requests.
    pub usable: Box<[Arc<Upstream>]>,
    /// Those that would, were their endpoint of a kind that is spoken.
    pub unusable: usize,
}

/// One choice of a rule, or the default route of a service.
#[derive(Debug)]
pub struct Backend {
    /// What tells it from the others.
    pub key: Key,
    /// `service:tag,tag`, for logs.
    pub label: Box<str>,
    /// The `Host` of requests that were addressed by path, to instances given by address.
    pub host: Option<HeaderValue>,
    /// Its counts.
    pub stats: Arc<Stats>,
    members: ArcSwap<Members>,
    balancer: Balancer,
}

impl Backend {
    /// A backend without instances.
    pub fn new(key: Key, metrics: &Metrics) -> Self {
        let label = if key.tags.is_empty() {
            key.service.to_string()
        } else {
            format!("{}:{}", key.service, key.tags)
        };
        let rule = key.rule.as_ref().map_or("-", RuleId::as_str);
        let stats = metrics.stats(key.destination.as_str(), &label, rule);
        let host_like = key
            .service
            .as_str()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        Self {
            host: host_like
                .then(|| HeaderValue::from_str(key.service.as_str()).ok())
                .flatten(),
            label: label.into(),
            stats,
            members: ArcSwap::default(),
            balancer: Balancer::new(key.balance),
            key,
        }
    }

    /// Replaces the instances.
    pub fn set_members(&self, members: Members) {
        self.members.store(Arc::new(members));
    }

    /// The instances now.
    pub fn members(&self) -> Arc<Members> {
        self.members.load_full()
    }

    /// Picks an instance, where there is a choice one that is not among `tried`.
    pub(super) fn pick(&self, tried: &[u64]) -> Option<Arc<Upstream>> {
        let members = self.members.load();
        self.balancer.pick(&members.usable, tried).cloned()
    }
}
