//! What all parts of a soak share: where to send, what may be in effect, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::caller::Answer;
use crate::epochs::Epochs;
use crate::fabric::Sidecar;

/// The most failures of a kind that are told word by word.
const TOLD: usize = 5;

/// How failures begin that nothing injected can bring about.
const WRONG: &str = "wrong:";

/// A kind of load. In this order they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// GET over HTTP/1.1, by weights that move.
    Get,
    /// POST over HTTP/1.1.
    Post,
    /// Many streams over one connection in HTTP/2.
    Streams,
    /// Calls as gRPC makes them, to instances that speak HTTP/2.
    Calls,
    /// Answers that come in pieces.
    Pieces,
    /// Upgrades.
    Upgrade,
    /// GET by a rule with retries while instances die.
    MortalGet,
    /// POST while instances die.
    MortalPost,
    /// Answers in pieces while instances die.
    MortalPieces,
    /// TCP while instances die.
    Wire,
    /// Requests to an instance that fails.
    Faulty,
    /// Callers that break off.
    BreakOff,
}

/// The shared ground.
pub(super) struct Ground {
    /// The gateway's way out.
    pub(super) http: SocketAddr,
    /// The gateway's port that leads to the service `wire`.
    pub(super) wire: SocketAddr,
    /// Whether there is to be load.
    pub(super) going: AtomicBool,
    /// The versions of `steady` that have a weight.
    pub(super) weights: Epochs<Vec<&'static str>>,
    /// Whether an instance is dead that the gateway may not know to be.
    pub(super) mortal: Epochs<bool>,
    /// The same of `wire`.
    pub(super) cut: Epochs<bool>,
    /// What came of it.
    pub(super) tally: Tally,
}

/// How many there were of each kind.
#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<Kind, Count>>);

/// Of one kind.
#[derive(Default, Clone)]
pub(super) struct Count {
    pub(super) good: u64,
    pub(super) injected: u64,
    pub(super) failed: u64,
    pub(super) told: Vec<String>,
}

impl Ground {
    pub(super) fn new(gateway: &Sidecar, wire: SocketAddr) -> Self {
        let http = gateway.proxy.trim_start_matches("http://");
        Self {
            http: http.parse().unwrap(),
            wire,
            going: AtomicBool::new(true),
            weights: Epochs::new(vec!["v1", "v2"]),
            mortal: Epochs::new(false),
            cut: Epochs::new(false),
            tally: Tally::default(),
        }
    }

    /// Does one thing after the other until there is to be no more load.
    pub(super) async fn keep(
        &self,
        kind: Kind,
        pause: Duration,
        mut once: impl AsyncFnMut() -> Result<(), String>,
    ) {
        while self.going.load(Ordering::Relaxed) {
            let from = Instant::now();
            let outcome = once().await;
            self.tally.count(kind, outcome, self.may_fail(kind, from));
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether a failure since `from` may be what is injected.
    fn may_fail(&self, kind: Kind, from: Instant) -> bool {
        match kind {
            Kind::MortalPost | Kind::MortalPieces => self.mortal.any_since(from, |dead| *dead),
            Kind::Wire => self.cut.any_since(from, |dead| *dead),
            _ => false,
        }
    }

    /// Whether `answer` is a 200 from an instance of `service`.
    pub(super) fn is_of(answer: &Answer, service: &str) -> Result<(), String> {
        let told = || {
            let body = String::from_utf8_lossy(&answer.body);
            format!("{}, {:?}: {body:.300}", answer.status, answer.fields)
        };
        match answer.served_by() {
            Some((by, _)) if answer.status == 200 && by == service => Ok(()),
            Some((by, _)) if by != service => Err(format!("{WRONG} misrouted, {}", told())),
            _ => Err(told()),
        }
    }

    /// Whether `answer` is one of `steady` by a version that had a weight since `from`.
    pub(super) fn is_due(&self, answer: &Answer, from: Instant) -> Result<(), String> {
        Self::is_of(answer, "steady")?;
        match answer.served_by() {
            Some((_, version)) if self.weights.any_since(from, |all| all.contains(&version)) => {
                Ok(())
            }
            by => Err(format!("{WRONG} misrouted, {by:?} had no weight")),
        }
    }
}

impl Tally {
    /// Counts one outcome; a failure counts as injected where it `may_fail`.
    pub(super) fn count(&self, kind: Kind, outcome: Result<(), String>, may_fail: bool) {
        let mut all = self.0.lock().unwrap();
        let count = all.entry(kind).or_default();
        match outcome {
            Ok(()) => count.good += 1,
            Err(why) if may_fail && !why.starts_with(WRONG) => count.injected += 1,
            Err(why) => {
                count.failed += 1;
                if count.told.len() < TOLD {
                    count.told.push(why);
                }
            }
        }
    }

    /// All kinds that there were.
    pub(super) fn all(&self) -> BTreeMap<Kind, Count> {
        self.0.lock().unwrap().clone()
    }

    /// What was not injected.
    pub(super) fn failures(&self) -> Vec<String> {
        let all = self.all();
        let failed = all.iter().filter(|(_, count)| count.failed > 0);
        failed
            .map(|(kind, count)| {
                let examples = count.told.join("\n    ");
                format!("{kind:?}: {} failed, such as\n    {examples}", count.failed)
            })
            .collect()
    }
}
