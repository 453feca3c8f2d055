//! Counting where requests went, over the last few seconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How far back the figures reach.
const WINDOW: Duration = Duration::from_secs(5);

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An instance answered.
    Answered {
        /// Its version.
        version: String,
        /// Its name.
        instance: String,
    },
    /// The answer of a sidecar, since a rule injects a fault.
    Fault(u16),
    /// An answer that is neither: nobody there, say.
    Other(u16),
    /// No answer at all.
    Broken,
}

struct Sample {
    ended: Instant,
    took: Duration,
    outcome: Outcome,
}

/// The requests of the last few seconds, at most since the last [`Tally::restart`].
#[derive(Default)]
pub(super) struct Tally {
    samples: VecDeque<Sample>,
    since: Option<Instant>,
    totals: Totals,
}

/// All requests since the beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// How many.
    pub(super) all: usize,
    /// How many were not answered by an instance, though no rule asks for that.
    pub(super) failed: usize,
}

impl Tally {
    /// Counts a request.
    pub(super) fn add(&mut self, began: Instant, ended: Instant, outcome: Outcome) {
        self.totals.all += 1;
        let failed = matches!(outcome, Outcome::Other(_) | Outcome::Broken);
        self.totals.failed += usize::from(failed);
        if self.since.is_some_and(|since| began < since) {
            return;
        }
        self.forget(ended);
        self.samples.push_back(Sample {
            ended,
            took: ended.saturating_duration_since(began),
            outcome,
        });
    }

    /// All requests since the beginning.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Forgets all requests that began before `now`, those under way too, so that figures from
    /// before a change do not blur those after it.
    pub(super) fn restart(&mut self, now: Instant) {
        self.samples.clear();
        self.since = Some(now);
    }

    /// The figures at `now`.
    pub(super) fn figures(&mut self, now: Instant) -> Figures {
        self.forget(now);
        let mut all = Group::default();
        let mut figures = Figures::default();
        let since = self.samples.front().map(|oldest| oldest.ended);
        for sample in &self.samples {
            all.add(sample.took);
            match &sample.outcome {
                Outcome::Answered { version, instance } => {
                    let version = figures.versions.entry(version.clone()).or_default();
                    version.group.add(sample.took);
                    *version.instances.entry(instance.clone()).or_default() += 1;
                }
                Outcome::Fault(status) => *figures.faults.entry(*status).or_default() += 1,
                Outcome::Other(status) => *figures.others.entry(*status).or_default() += 1,
                Outcome::Broken => figures.broken += 1,
            }
        }
        figures.all = all;
        figures.seconds = since.map_or(0.0, |since| (now - since).as_secs_f64());
        figures
    }

    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.samples.front() {
            if now.saturating_duration_since(oldest.ended) <= WINDOW {
                break;
            }
            self.samples.pop_front();
        }
    }
}

/// Where requests went.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Over how long.
    pub(super) seconds: f64,
    /// All requests.
    pub(super) all: Group,
    /// Those answered, by version.
    pub(super) versions: BTreeMap<String, Version>,
    /// Those answered by an injected fault, by status.
    pub(super) faults: BTreeMap<u16, usize>,
    /// Those answered in another way, by status.
    pub(super) others: BTreeMap<u16, usize>,
    /// Those not answered.
    pub(super) broken: usize,
}

impl Figures {
    /// The part of all requests that `count` is, 0 to 1.
    pub(super) fn share(&self, count: usize) -> f64 {
        ratio(count, self.all.count())
    }

    /// How many a second `count` is.
    pub(super) fn rate(&self, count: usize) -> f64 {
        // Shorter than this says nothing yet.
        if self.seconds < 0.2 {
            return 0.0;
        }
        as_f64(count) / self.seconds
    }
}

/// The requests that one version answered.
#[derive(Debug, Default)]
pub(super) struct Version {
    /// All of them.
    pub(super) group: Group,
    /// By instance.
    pub(super) instances: BTreeMap<String, usize>,
}

/// Some requests.
#[derive(Debug, Default)]
pub(super) struct Group {
    took: Vec<Duration>,
}

impl Group {
    fn add(&mut self, took: Duration) {
        self.took.push(took);
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.took.len()
    }

    /// How long the slowest of the fastest `percent` % took.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut took = self.took.clone();
        took.sort_unstable();
        let at = (took.len() * percent).div_ceil(100).max(1) - 1;
        took.get(at).copied()
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    as_f64(part) / as_f64(whole)
}

#[allow(clippy::cast_precision_loss)]
fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(version: &str, instance: &str) -> Outcome {
        Outcome::Answered {
            version: version.to_owned(),
            instance: instance.to_owned(),
        }
    }

    #[test]
    fn shares_are_of_all_requests_faults_included() {
        let mut tally = Tally::default();
        let now = Instant::now();
        tally.add(now, now, answered("v1", "a"));
        tally.add(now, now, answered("v1", "b"));
        tally.add(now, now, answered("v2", "c"));
        tally.add(now, now, Outcome::Fault(503));
        let figures = tally.figures(now + Duration::from_secs(2));
        assert_eq!(figures.share(figures.versions["v1"].group.count()), 0.5);
        assert_eq!(figures.share(figures.faults[&503]), 0.25);
        assert_eq!(figures.rate(4), 2.0);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut tally = Tally::default();
        let then = Instant::now();
        tally.add(then, then, Outcome::Broken);
        assert_eq!(tally.figures(then + WINDOW).broken, 1);
        let later = then + WINDOW + Duration::from_millis(1);
        assert_eq!(tally.figures(later).broken, 0);
    }

    #[test]
    fn a_request_from_before_the_change_does_not_count() {
        let mut tally = Tally::default();
        let before = Instant::now();
        let change = before + Duration::from_millis(5);
        let after = before + Duration::from_millis(10);
        tally.add(before, before, Outcome::Broken);
        tally.restart(change);
        tally.add(before, after, Outcome::Broken);
        assert_eq!(tally.figures(after).broken, 0);
        tally.add(change, after, Outcome::Broken);
        assert_eq!(tally.figures(after).broken, 1);
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut group = Group::default();
        assert_eq!(group.percentile(50), None);
        for ms in (1..=100).rev() {
            group.add(Duration::from_millis(ms));
        }
        assert_eq!(group.percentile(50), Some(Duration::from_millis(50)));
        assert_eq!(group.percentile(99), Some(Duration::from_millis(99)));
        assert_eq!(group.percentile(100), Some(Duration::from_millis(100)));
    }
}
