//! How many requests a backend may have in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::backend::Backend;

/// The requests of a backend that have been let in and have not ended.
#[derive(Debug)]
pub(super) struct InFlightLimit {
    now: AtomicU32,
    max: AtomicU32,
}

impl InFlightLimit {
    pub(super) fn new(max: u32) -> Self {
        Self {
            now: AtomicU32::new(0),
            max: AtomicU32::new(max),
        }
    }

    /// Replaces the bound. Those in flight stay.
    pub(super) fn set_max(&self, max: u32) {
        self.max.store(max, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u32 {
        self.now.load(Ordering::Relaxed)
    }
}

/// A bound that a rule may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Requests in flight.
    Requests,
    /// Requests that wait for a connection.
    Pending,
}

impl Bound {
    pub(super) const ALL: [Self; 2] = [Self::Requests, Self::Pending];

    /// As rules write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "max_requests",
            Self::Pending => "max_pending_requests",
        }
    }
}

/// A request that counts for its backend as long as this lives.
#[derive(Debug)]
pub(super) struct Admitted(Arc<Backend>);

impl Admitted {
    /// Lets a request in; `None` when there are as many as there may be.
    pub(super) fn to(backend: &Arc<Backend>) -> Option<Self> {
        let limit = &backend.requests;
        let before = limit.now.fetch_add(1, Ordering::Relaxed);
        // Whoever is refused counts for a moment only, and only against others who come in
        // that same moment: the bound is never exceeded.
        let admitted = Self(backend.clone());
        (before < limit.max.load(Ordering::Relaxed)).then_some(admitted)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.requests.now.fetch_sub(1, Ordering::Relaxed);
    }
}
