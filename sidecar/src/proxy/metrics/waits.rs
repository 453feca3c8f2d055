//! What is counted of those who are kept waiting by the bounds of a destination's backends, or
//! are turned away.

use std::time::Instant;

use super::{Counter, Gauge, Histogram};
use crate::proxy::limits::Bound;

/// Those of one destination.
#[derive(Debug, Default)]
pub struct Waits {
    /// How many wait now.
    pub now: Gauge,
    /// How long they have waited, whatever came of it.
    pub(super) took: Histogram,
    refused: [Counter; Bound::ALL.len()],
}

impl Waits {
    /// Counts one that waits, until the value is dropped.
    pub(in crate::proxy) fn begin(&self) -> Pending<'_> {
        self.now.add(1);
        Pending {
            waits: self,
            since: Instant::now(),
        }
    }

    /// One more was turned away because of `bound`.
    pub(in crate::proxy) fn refuse(&self, bound: Bound) {
        self.refused[bound as usize].inc();
    }

    /// How many were turned away because of `bound`.
    pub(in crate::proxy) fn refused(&self, bound: Bound) -> u64 {
        self.refused[bound as usize].get()
    }

    /// How many have waited, and do no longer.
    pub fn waited(&self) -> u64 {
        self.took.count()
    }
}

/// One that waits.
pub(in crate::proxy) struct Pending<'a> {
    waits: &'a Waits,
    since: Instant,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.waits.now.add(-1);
        self.waits.took.observe(self.since.elapsed());
    }
}
