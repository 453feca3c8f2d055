//! The instances of a backend, and which of them take requests: all but those that failed
//! too often in a row and are left alone for a while.
//!
//! What has gone wrong is counted for each backend by itself: an instance that fails for one
//! version's rule may serve another's. Nothing here runs by itself: an instance comes back
//! when the next one is picked, or somebody looks, after its time is over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use a8_common::rule::Resilience;
use arc_swap::ArcSwap;
use tracing::info;

use super::backend::Members;
use super::upstream::Upstream;

/// When nobody is to come back.
const NEVER: u64 = u64::MAX;

/// An instance in its part for one backend.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) upstream: Arc<Upstream>,
    /// How often it has failed since it last did not.
    row: AtomicU32,
}

impl Member {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self {
            upstream,
            row: AtomicU32::new(0),
        }
    }

    /// It has served a request.
    pub(super) fn succeeded(&self) {
        // Written only after trouble, so that requests do not fight over it.
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
    }
}

/// An instance that is left alone.
#[derive(Debug, Clone)]
struct Out {
    member: Arc<Member>,
    until: Instant,
}

/// What one moment's requests see.
#[derive(Debug, Default)]
struct Current {
    members: Arc<Members>,
    /// Made for the first request: most of thousands of backends are never asked for.
    all: OnceLock<Box<[Arc<Member>]>>,
    /// Those that are not left alone, where that is not all.
    available: Option<Box<[Arc<Member>]>>,
}

impl Current {
    fn all(&self) -> &[Arc<Member>] {
        self.all.get_or_init(|| {
            let usable = self.members.usable.iter();
            usable.map(|u| Arc::new(Member::new(u.clone()))).collect()
        })
    }
}

/// All instances of a backend.
#[derive(Debug)]
pub(super) struct Roster {
    created: Instant,
    now: ArcSwap<Current>,
    /// Microseconds after `created` when the next instance comes back.
    next_return: AtomicU64,
    out: Mutex<Vec<Out>>,
}

impl Roster {
    pub(super) fn new(created: Instant) -> Self {
        Self {
            created,
            now: ArcSwap::default(),
            next_return: AtomicU64::new(NEVER),
            out: Mutex::default(),
        }
    }

    /// All instances, whether they take requests or not.
    pub(super) fn members(&self) -> Arc<Members> {
        self.now.load().members.clone()
    }

    /// Replaces the instances. Those that stay keep their counts, and stay out if they are.
    pub(super) fn set(&self, members: Arc<Members>, label: &str) {
        let mut out = self.lock();
        let before = self.now.load();
        let Some(known) = before.all.get() else {
            return self.now.store(Arc::new(Current {
                members,
                ..Current::default()
            }));
        };
        let known: HashMap<u64, &Arc<Member>> = known.iter().map(|m| (m.upstream.key, m)).collect();
        let all: Box<[Arc<Member>]> = members
            .usable
            .iter()
            .map(|upstream| match known.get(&upstream.key) {
                Some(member) => (*member).clone(),
                None => Arc::new(Member::new(upstream.clone())),
            })
            .collect();
        out.retain(|o| all.iter().any(|m| Arc::ptr_eq(m, &o.member)));
        out.sort_by_key(|o| o.until);
        for counts in COUNTED {
            let gone = out.iter().filter(|o| counts(&o.member)).count();
            let mut too_many = gone.saturating_sub(most(&all, counts));
            out.retain(|o| {
                let back = too_many > 0 && counts(&o.member);
                if back {
                    too_many -= 1;
                    returned(&o.member, label);
                }
                !back
            });
        }
        self.publish(members, all, &out);
    }

    /// Lends the instances that take requests to `pick`.
    pub(super) fn available<T>(
        &self,
        label: &str,
        pick: impl FnOnce(&[Arc<Member>]) -> Option<T>,
    ) -> Option<T> {
        if self.next_return.load(Ordering::Relaxed) != NEVER {
            self.settle(Instant::now(), label);
        }
        let now = self.now.load();
        pick(now.available.as_deref().unwrap_or_else(|| now.all()))
    }

    /// Lets those come back whose time is over.
    pub(super) fn settle(&self, now: Instant, label: &str) {
        if self.since_created(now) < self.next_return.load(Ordering::Relaxed) {
            return;
        }
        let mut out = self.lock();
        let before = out.len();
        out.retain(|o| {
            let stays = o.until > now;
            if !stays {
                returned(&o.member, label);
            }
            stays
        });
        if out.len() < before {
            self.republish(&out);
        }
    }

    /// `member` has failed. It is left alone from now on if that was once too often, and
    /// enough others are left.
    pub(super) fn failed(&self, member: &Arc<Member>, now: Instant, by: &Resilience, label: &str) {
        let row = member.row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if row < by.errors_in_a_row() {
            return;
        }
        self.settle(now, label);
        let mut out = self.lock();
        let current = self.now.load();
        let is = |other: &Arc<Member>| Arc::ptr_eq(other, member);
        let enough = |counts: &fn(&Member) -> bool| {
            let gone = out.iter().filter(|o| counts(&o.member)).count();
            counts(member) && gone >= most(current.all(), *counts)
        };
        if out.iter().any(|o| is(&o.member))
            || COUNTED.iter().any(enough)
            || !current.all().iter().any(is)
        {
            return;
        }
        let until = self.created + self.back_after(now, by);
        info!(
            backend = label,
            instance = %member.upstream.label,
            errors = row,
            seconds = until.saturating_duration_since(now).as_secs_f64(),
            "instance ejected"
        );
        out.push(Out {
            member: member.clone(),
            until,
        });
        self.republish(&out);
    }

    /// The instances that are left alone, and until when.
    pub(super) fn ejected(&self) -> Vec<(Arc<Upstream>, Instant)> {
        if self.next_return.load(Ordering::Relaxed) == NEVER {
            return Vec::new();
        }
        let out = self.lock();
        out.iter()
            .map(|o| (o.member.upstream.clone(), o.until))
            .collect()
    }

    /// Counted from the creation: the first sweep after the time of one that is ejected now.
    fn back_after(&self, now: Instant, by: &Resilience) -> Duration {
        let end = now.saturating_duration_since(self.created) + by.ejected_for();
        let every = by.sweep_every().as_micros().max(1);
        let micros = end.as_micros().div_ceil(every).saturating_mul(every);
        Duration::from_micros(u64::try_from(micros).unwrap_or(NEVER))
    }

    fn republish(&self, out: &[Out]) {
        let current = self.now.load();
        self.publish(current.members.clone(), current.all().into(), out);
    }

    fn publish(&self, members: Arc<Members>, all: Box<[Arc<Member>]>, out: &[Out]) {
        let is_out = |m: &Arc<Member>| out.iter().any(|o| Arc::ptr_eq(&o.member, m));
        let available =
            (!out.is_empty()).then(|| all.iter().filter(|m| !is_out(m)).cloned().collect());
        self.now.store(Arc::new(Current {
            members,
            all: all.into(),
            available,
        }));
        let next = out.iter().map(|o| self.since_created(o.until)).min();
        self.next_return
            .store(next.unwrap_or(NEVER), Ordering::Relaxed);
    }

    fn since_created(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.created).as_micros();
        u64::try_from(since).unwrap_or(NEVER)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Out>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of whom at least half is left: of those that take requests, which others cannot stand in
/// for, and of all.
const COUNTED: [fn(&Member) -> bool; 2] = [|member| member.upstream.speaks_http(), |_| true];

/// How many may be left alone at a time of those of `all` that count.
fn most(all: &[Arc<Member>], counts: fn(&Member) -> bool) -> usize {
    all.iter().filter(|member| counts(member)).count() / 2
}

/// Whoever comes back begins anew.
fn returned(member: &Member, label: &str) {
    member.row.store(0, Ordering::Relaxed);
    info!(backend = label, instance = %member.upstream.label, "ejected instance is back");
}

#[cfg(test)]
mod tests;
