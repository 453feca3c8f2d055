//! What a decision leads to: some instances of a service, and how to spread over them.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use a8_common::model::{RuleId, ServiceName, Tags};
use a8_common::rule::{Balance, Resilience};
use arc_swap::ArcSwap;
use http::HeaderValue;

use super::affinity::{self, Token};
use super::balance::Balancer;
use super::budget::Budget;
use super::gate::Gate;
use super::limits::InFlightLimit;
use super::metrics::{Metrics, Stats, Waits};
use super::roster::{Member, Roster};
use super::upstream::Upstream;

/// What tells a backend from the others; as long as this stays the same it keeps its
/// balancer, its counts and what it knows of its instances through every change of the
/// configuration.
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
    /// How many backends of the same rule come before it that are the same in all of this.
    pub twin: usize,
}

/// The instances that qualify for a backend at one moment.
#[derive(Debug, Default)]
pub struct Members {
    /// Those that can be connected to; first those that speak HTTP.
    pub usable: Box<[Arc<Upstream>]>,
    /// Those whose endpoint is of a kind that cannot be connected to.
    pub unusable: usize,
}

impl Members {
    /// Those that take requests.
    pub fn http(&self) -> &[Arc<Upstream>] {
        http(&self.usable, |upstream| upstream)
    }
}

/// Those at the front that speak HTTP, which mostly are all.
fn http<T>(all: &[T], upstream: impl Fn(&T) -> &Arc<Upstream>) -> &[T] {
    let speaks = |one: &T| upstream(one).speaks_http();
    match all.last() {
        Some(last) if !speaks(last) => &all[..all.partition_point(speaks)],
        _ => all,
    }
}

/// One choice of a rule, or the default route of a service.
#[derive(Debug)]
pub struct Backend {
    /// What tells it from the others.
    pub key: Arc<Key>,
    /// `service:tag,tag`, for logs.
    pub label: Arc<str>,
    /// The `Host` of requests that were addressed by path, to instances given by address.
    pub host: Option<HeaderValue>,
    /// Its counts.
    pub stats: Arc<Stats>,
    /// Those who wait for it, and for others of its destination.
    pub waits: Arc<Waits>,
    /// How many more attempts its requests may have.
    pub(super) budget: Budget,
    pub(super) requests: InFlightLimit,
    /// How many connections its requests may have open.
    pub(super) gate: Arc<Gate>,
    resilience: ArcSwap<Resilience>,
    roster: Roster,
    balancer: Balancer,
    token: OnceLock<Token>,
}

impl Backend {
    /// A backend without instances.
    pub fn new(key: Arc<Key>, resilience: Resilience, metrics: &Metrics) -> Self {
        let label: Arc<str> = if key.tags.is_empty() {
            key.service.clone().into()
        } else {
            format!("{}:{}", key.service, key.tags).into()
        };
        let rule = key.rule.clone().map_or_else(|| "-".into(), RuleId::into);
        let rule: Arc<str> = rule;
        let stats = metrics.stats(key.destination.clone(), label.clone(), rule);
        let host_like = key
            .service
            .as_str()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
        let now = Instant::now();
        Self {
            host: host_like
                .then(|| HeaderValue::from_str(key.service.as_str()).ok())
                .flatten(),
            label,
            stats,
            waits: metrics.waits(key.destination.as_str()),
            budget: Budget::new(now),
            requests: InFlightLimit::new(resilience.requests()),
            gate: Gate::new(&resilience),
            resilience: ArcSwap::from_pointee(resilience),
            roster: Roster::new(now),
            balancer: Balancer::new(key.balance),
            token: OnceLock::new(),
            key,
        }
    }

    /// Replaces bounds and the like; what is counted against them stays.
    pub fn set_resilience(&self, resilience: &Resilience) {
        if **self.resilience.load() == *resilience {
            return;
        }
        self.requests.set_max(resilience.requests());
        self.gate.set(resilience);
        self.resilience.store(Arc::new(resilience.clone()));
    }

    /// Bounds and the like.
    pub fn resilience(&self) -> Arc<Resilience> {
        self.resilience.load_full()
    }

    /// Replaces the instances.
    pub fn set_members(&self, members: Arc<Members>) {
        self.roster.set(members, &self.label);
    }

    /// The instances now, whether ejected or not.
    pub fn members(&self) -> Arc<Members> {
        self.roster.members()
    }

    /// The instances that are ejected at `now`, and when each comes back.
    pub fn ejected(&self, now: Instant) -> Vec<(Arc<Upstream>, Instant)> {
        self.roster.settle(now, &self.label);
        self.roster.ejected()
    }

    /// Requests that have been let in and have not ended.
    pub fn in_flight(&self) -> u32 {
        self.requests.now()
    }

    /// Connections that its requests have opened, and requests that wait for one.
    pub fn connections(&self) -> (usize, usize) {
        self.gate.counts()
    }

    /// The instance `key`, if it takes requests.
    pub(super) fn member(&self, key: u64) -> Option<Arc<Member>> {
        self.roster.available(&self.label, |members| {
            members.iter().find(|m| m.upstream.key == key).cloned()
        })
    }

    /// Picks an instance that takes requests and is not ejected, where there is a choice one
    /// that is not among `tried`.
    pub(super) fn pick(&self, tried: &[u64]) -> Option<Arc<Member>> {
        self.roster.available(&self.label, |members| {
            let members = http(members, |member| &member.upstream);
            self.balancer.pick(members, tried).cloned()
        })
    }

    /// Does the same for a byte stream, for which all kinds of instances will do.
    pub(super) fn pick_stream(&self, tried: &[u64]) -> Option<Arc<Member>> {
        self.roster.available(&self.label, |members| {
            self.balancer.pick(members, tried).cloned()
        })
    }

    /// What stands in its affinity cookie; there is one `key` in a process.
    pub(super) fn token(&self, key: &affinity::Key) -> &Token {
        self.token.get_or_init(|| key.token(&self.key))
    }

    /// An instance has failed with a request.
    pub(super) fn failed(&self, member: &Arc<Member>) {
        let by = self.resilience.load();
        self.roster.failed(member, Instant::now(), &by, &self.label);
    }
}
