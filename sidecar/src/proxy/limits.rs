//! How many requests a backend may have in flight, and how many byte streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::backend::Backend;

/// What a backend has let in and has not ended.
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
    /// Byte streams.
    Connections,
}

impl Bound {
    /// As rules write it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "max_requests",
            Self::Connections => "max_connections",
        }
    }
}

/// A request or a byte stream that counts for its backend as long as this lives.
#[derive(Debug)]
pub(super) struct Admitted(Arc<Backend>, Bound);

impl Admitted {
    /// Lets a request in; `None` when there are as many as there may be.
    pub(super) fn to(backend: &Arc<Backend>) -> Option<Self> {
        Self::within(Bound::Requests, backend)
    }

    /// Lets a byte stream in; `None` when there are as many as there may be.
    pub(super) fn stream_to(backend: &Arc<Backend>) -> Option<Self> {
        Self::within(Bound::Connections, backend)
    }

    fn within(bound: Bound, backend: &Arc<Backend>) -> Option<Self> {
        let limit = backend.limit(bound);
        let before = limit.now.fetch_add(1, Ordering::Relaxed);
        // Whoever is refused counts for a moment only, and only against others who come in
        // that same moment: the bound is never exceeded.
        let admitted = Self(backend.clone(), bound);
        (before < limit.max.load(Ordering::Relaxed)).then_some(admitted)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let limit = self.0.limit(self.1);
        limit.now.fetch_sub(1, Ordering::Relaxed);
    }
}
