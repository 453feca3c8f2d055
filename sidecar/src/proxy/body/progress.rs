//! How the bodies of an exchange stand.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// When a body of an exchange last moved, in either direction, how much of the request's there
/// may be, and whether its caller broke it off. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Progress(Rc<State>);

#[derive(Debug)]
struct State {
    moved: Cell<Instant>,
    most: u64,
    oversized: Cell<bool>,
    broken_off: Cell<bool>,
}

impl Progress {
    /// Of an exchange that began at `now`, whose request may have a body of `most` bytes.
    pub(in crate::proxy) fn new(now: Instant, most: u64) -> Self {
        Self(Rc::new(State {
            moved: Cell::new(now),
            most,
            oversized: Cell::new(false),
            broken_off: Cell::new(false),
        }))
    }

    /// When a body last moved.
    pub(in crate::proxy) fn get(&self) -> Instant {
        self.0.moved.get()
    }

    /// A body has moved.
    pub(in crate::proxy) fn set(&self, now: Instant) {
        self.0.moved.set(now);
    }

    /// Whether so many bytes may be sent. Once they may not it is known for good.
    pub(super) fn allows(&self, sent: u64) -> bool {
        let allowed = sent <= self.0.most;
        if !allowed {
            self.0.oversized.set(true);
        }
        allowed
    }

    /// The bound, if there was more than it allows.
    pub(in crate::proxy) fn oversized(&self) -> Option<u64> {
        self.0.oversized.get().then_some(self.0.most)
    }

    /// The caller has broken off the request's body.
    pub(super) fn break_off(&self) {
        self.0.broken_off.set(true);
    }

    /// Whether the caller has broken off the request's body.
    pub(in crate::proxy) fn broken_off(&self) -> bool {
        self.0.broken_off.get()
    }
}
