//! When leases end.
//!
//! Keeping a lease alive is one look-up and one store of a time. The heap holds one, possibly
//! outdated, time per lease; a lease that turns out to have been kept alive since is put
//! back with its new time. So ten thousand leases with half a minute each cost a few hundred
//! heap steps a second, whatever the number of heartbeats.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::transaction::LeaseId;

/// The shortest time to live; etcd counts in seconds.
const MIN_TTL: Duration = Duration::from_secs(1);
/// The longest.
const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

/// What becomes of a time to live that a caller asks for.
pub(super) fn bounded(ttl: Duration) -> Duration {
    ttl.clamp(MIN_TTL, MAX_TTL)
}

/// The longest that an owner of leases sleeps.
const TICK: Duration = Duration::from_secs(1);
/// A gap between two wake-ups that counts as an absence. Well above what a busy machine does
/// to a timer, well below a sensible time to live.
const ABSENCE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct Deadlines {
    leases: HashMap<LeaseId, Deadline>,
    /// For every lease, a time at or before its deadline.
    due: BinaryHeap<Reverse<(Instant, LeaseId)>>,
}

struct Deadline {
    ttl: Duration,
    at: Instant,
    /// Its end has been decided and is being written.
    ending: bool,
}

impl Deadlines {
    pub(super) fn insert(&mut self, id: LeaseId, ttl: Duration, now: Instant) {
        let at = now + ttl;
        let ending = false;
        self.leases.insert(id, Deadline { ttl, at, ending });
        self.due.push(Reverse((at, id)));
        self.shrink();
    }

    /// `false` when the lease has ended.
    pub(super) fn keep_alive(&mut self, id: LeaseId, now: Instant) -> bool {
        match self.leases.get_mut(&id) {
            Some(lease) if !lease.ending => {
                lease.at = now + lease.ttl;
                true
            }
            _ => false,
        }
    }

    pub(super) fn remove(&mut self, id: LeaseId) {
        self.leases.remove(&id);
    }

    /// The leases that nobody kept alive; from here on they count as ended, until
    /// [`remove`](Self::remove) or [`spare`](Self::spare).
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<LeaseId> {
        let mut ended = Vec::new();
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            match self.leases.get_mut(&id) {
                Some(lease) if lease.at > now => self.due.push(Reverse((lease.at, id))),
                Some(lease) if !lease.ending => {
                    lease.ending = true;
                    ended.push(id);
                }
                _ => {}
            }
        }
        ended
    }

    /// Gives one lease whose end could not be written its full time again.
    pub(super) fn spare(&mut self, id: LeaseId, now: Instant) {
        if let Some(lease) = self.leases.get(&id) {
            self.insert(id, lease.ttl, now);
        }
    }

    /// Gives every lease its full time again. None is shortened by it.
    pub(super) fn spare_all(&mut self, now: Instant) {
        for lease in self.leases.values_mut().filter(|l| !l.ending) {
            lease.at = now + lease.ttl;
        }
    }

    /// When [`take_due`](Self::take_due) may next find something.
    fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Leases that were revoked leave their place in the heap behind until it is due. Many
    /// short-lived ones with a long time to live must not pile up.
    fn shrink(&mut self) {
        if self.due.len() > 2 * self.leases.len() + 1024 {
            let live = self.leases.iter().filter(|(_, lease)| !lease.ending);
            self.due = live.map(|(id, lease)| Reverse((lease.at, *id))).collect();
        }
    }
}

/// Tells the owner of leases when to look for those that ended, and whether it was absent.
///
/// A process that was suspended, stopped by a signal, or starved could not hear its callers;
/// its clock says that every lease is overdue. Its owner wakes at least once a second, so a
/// much longer gap shows that it was absent. It then spares everybody for one more time to
/// live, in which those who live make themselves heard.
pub(super) struct Ticker {
    seen: Instant,
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self {
            seen: Instant::now(),
        }
    }

    /// When to wake next.
    pub(super) fn next(&self, deadlines: &Deadlines) -> Instant {
        let latest = Instant::now() + TICK;
        deadlines.next().map_or(latest, |at| at.min(latest))
    }

    /// To be asked at every wake-up, for whatever reason: how long the absence was, if any.
    pub(super) fn absence(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let gap = now - std::mem::replace(&mut self.seen, now);
        (gap > ABSENCE).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_ends_one_ttl_after_it_was_last_kept_alive() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        deadlines.insert(LeaseId(1), TTL, start);
        assert!(deadlines.keep_alive(LeaseId(1), start + secs(20)));
        assert!(deadlines.take_due(start + secs(49)).is_empty());
        assert_eq!(deadlines.take_due(start + secs(50)), [LeaseId(1)]);
        assert!(!deadlines.keep_alive(LeaseId(1), start + secs(50)));
    }

    #[test]
    fn a_lease_whose_end_could_not_be_written_lives_on() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        deadlines.insert(LeaseId(1), TTL, start);
        assert_eq!(deadlines.take_due(start + TTL), [LeaseId(1)]);
        deadlines.spare(LeaseId(1), start + TTL);
        assert!(deadlines.keep_alive(LeaseId(1), start + TTL));
        assert_eq!(deadlines.take_due(start + 2 * TTL), [LeaseId(1)]);
    }

    #[test]
    fn revoked_leases_do_not_pile_up() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        for id in 1..100_000 {
            deadlines.insert(LeaseId(id), TTL, start);
            deadlines.remove(LeaseId(id));
        }
        assert!(deadlines.due.len() < 2048, "{}", deadlines.due.len());
    }
}
