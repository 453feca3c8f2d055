//! What the proxy counts.
//!
//! A request touches only handles that its backend already holds: no label is looked up and
//! nothing is allocated. Series live exactly as long as the configuration that names them:
//! the owners hold them strongly, [`Metrics`] only weakly, and a scrape drops the dead.

mod export;
mod waits;

use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

pub use export::Export;
pub use waits::Waits;

/// Upper bounds of the duration histogram, in microseconds.
const BOUNDS_US: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 15_000_000,
];

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The first digit of a status, or none when the caller got no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeClass {
    /// 1xx
    Informational,
    /// 2xx
    Success,
    /// 3xx
    Redirection,
    /// 4xx
    ClientError,
    /// 5xx
    ServerError,
    /// No response was given, or a byte stream found no instance.
    None,
    /// A byte stream that found its instance.
    Tcp,
}

impl CodeClass {
    const ALL: [Self; 7] = [
        Self::Informational,
        Self::Success,
        Self::Redirection,
        Self::ClientError,
        Self::ServerError,
        Self::None,
        Self::Tcp,
    ];

    /// The class of a status; 0 stands for no response.
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Informational,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::None,
        }
    }

    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirection => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
            Self::None => "none",
            Self::Tcp => "tcp",
        }
    }
}

/// Durations of one label set.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum()
    }
}

/// Durations of the requests to one backend, whatever rule chose it. A code class that was
/// never seen takes no memory.
#[derive(Debug, Default)]
struct Latency {
    classes: [OnceLock<Box<Histogram>>; CodeClass::ALL.len()],
}

/// The handles of one (destination, backend, rule).
#[derive(Debug)]
pub struct Stats {
    requests: [AtomicU64; CodeClass::ALL.len()],
    latency: Arc<Latency>,
}

impl Stats {
    /// Counts one finished request.
    pub fn observe(&self, class: CodeClass, took: Duration) {
        self.requests[class as usize].fetch_add(1, Ordering::Relaxed);
        let histogram = self.latency.classes[class as usize].get_or_init(Box::default);
        histogram.observe(took);
    }

    /// Requests counted in `class`.
    pub fn requests(&self, class: CodeClass) -> u64 {
        self.requests[class as usize].load(Ordering::Relaxed)
    }
}

/// What is counted of the connections to one TCP proxy.
#[derive(Debug, Default)]
pub struct StreamStats {
    /// Connections of callers, open now.
    pub open: Gauge,
    /// Bytes passed on from callers to instances.
    pub to_instance: Counter,
    /// Bytes passed on from instances to callers.
    pub to_caller: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct BackendLabels {
    destination: Arc<str>,
    backend: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct RuleLabels {
    backend: BackendLabels,
    rule: Arc<str>,
}

/// Handles by label set, held weakly.
#[derive(Debug)]
struct Family<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for Family<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Ord + Clone, V> Family<K, V> {
    fn get(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(alive) = known.get(&key).and_then(Weak::upgrade) {
            return alive;
        }
        let made = Arc::new(make());
        known.insert(key, Arc::downgrade(&made));
        made
    }

    /// All that are alive, in the order of their labels; the dead are dropped.
    fn alive(&self) -> Vec<(K, Arc<V>)> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, handle| handle.strong_count() > 0);
        let mut alive: Vec<_> = known
            .iter()
            .filter_map(|(key, handle)| Some((key.clone(), handle.upgrade()?)))
            .collect();
        alive.sort_by(|(a, _), (b, _)| a.cmp(b));
        alive
    }
}

/// All series of the proxy.
#[derive(Debug)]
pub struct Metrics {
    source: ArcSwap<Box<str>>,
    stats: Family<RuleLabels, Stats>,
    latencies: Family<BackendLabels, Latency>,
    connections: Family<Box<str>, Gauge>,
    streams: Family<Box<str>, StreamStats>,
    waits: Family<Box<str>, Waits>,
    /// Attempts beyond the first.
    pub retries: Counter,
    /// Attempts that were due but would have been more than the backend's budget.
    pub retries_denied: Counter,
    /// Delays injected.
    pub delays: Counter,
    /// Aborts injected.
    pub aborts: Counter,
    /// Lines of the access log that were dropped because its writer could not keep up.
    pub log_dropped: Counter,
    /// Connections of callers, open now.
    pub callers: Gauge,
    /// Requests to a service that does not exist, and heads that could not be read.
    pub unknown: Arc<Stats>,
}

impl Metrics {
    /// From now on the series are those of the caller called `source`.
    pub fn set_source(&self, source: &str) {
        self.source.store(Arc::new(source.into()));
    }

    /// Series of the caller called `source`.
    pub fn new(source: &str) -> Self {
        let stats = Family::default();
        let latencies = Family::default();
        let labels = BackendLabels {
            destination: "(unknown)".into(),
            backend: "-".into(),
        };
        let unknown = handles(&stats, &latencies, labels, "-".into());
        Self {
            source: ArcSwap::from_pointee(source.into()),
            stats,
            latencies,
            connections: Family::default(),
            streams: Family::default(),
            waits: Family::default(),
            retries: Counter::default(),
            retries_denied: Counter::default(),
            delays: Counter::default(),
            aborts: Counter::default(),
            log_dropped: Counter::default(),
            callers: Gauge::default(),
            unknown,
        }
    }

    /// The handles of a label set: those that exist, else new ones.
    pub fn stats(
        &self,
        destination: impl Into<Arc<str>>,
        backend: impl Into<Arc<str>>,
        rule: impl Into<Arc<str>>,
    ) -> Arc<Stats> {
        let backend = BackendLabels {
            destination: destination.into(),
            backend: backend.into(),
        };
        handles(&self.stats, &self.latencies, backend, rule.into())
    }

    /// Counts a head that could not be read, which was answered before it was a request.
    pub fn unreadable(&self) {
        self.unknown.observe(CodeClass::ClientError, Duration::ZERO);
    }

    /// Open connections to instances of `service`.
    pub fn connections(&self, service: &str) -> Arc<Gauge> {
        self.connections.get(service.into(), Gauge::default)
    }

    /// The counts of the TCP proxies that lead to `service`.
    pub fn streams(&self, service: &str) -> Arc<StreamStats> {
        self.streams.get(service.into(), StreamStats::default)
    }

    /// The counts of those who wait for the backends of `destination`.
    pub fn waits(&self, destination: &str) -> Arc<Waits> {
        self.waits.get(destination.into(), Waits::default)
    }
}

fn handles(
    stats: &Family<RuleLabels, Stats>,
    latencies: &Family<BackendLabels, Latency>,
    backend: BackendLabels,
    rule: Arc<str>,
) -> Arc<Stats> {
    let latency = latencies.get(backend.clone(), Latency::default);
    let labels = RuleLabels { backend, rule };
    stats.get(labels, || Stats {
        requests: Default::default(),
        latency,
    })
}
