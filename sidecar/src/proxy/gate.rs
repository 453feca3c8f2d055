//! How many connections the requests of a backend may have open, over all workers, and who
//! waits for one.
//!
//! The lock is taken when a connection is opened or closed, and by those who wait. A request
//! that finds a connection in its worker's pool does not come here; one that has ended looks
//! at [`pressure`](Gate::pressure), which is one relaxed load.
//!
//! Who waits is served in the order of arrival, but for this: a connection that comes free
//! goes to a request of its own worker, which can use it as it is, unless one elsewhere has
//! waited noticeably longer. Then the connection is given up for it: so connections move to
//! the worker where they are needed, and mostly they do not move.

mod waiting;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use a8_common::rule::Resilience;
use tokio::sync::oneshot;

pub(super) use waiting::{Grant, Waiter, Waiting};

/// How much longer than one of its own a request of another worker must have waited to be
/// given a connection before it.
const HEAD_START: Duration = Duration::from_millis(20);
/// Stands for no bound on the requests of a connection.
const UNBOUND: u32 = u32::MAX;

/// The bound of one backend.
#[derive(Debug)]
pub(super) struct Gate {
    /// Tells it from every other one of this process.
    pub(super) id: u64,
    /// How many connections are wanted back: for those who wait, and beyond a new bound.
    pressure: AtomicU32,
    /// Requests after which a connection is given up.
    per_connection: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    max_open: usize,
    max_pending: usize,
    open: usize,
    next: u64,
    queue: VecDeque<Waiter>,
}

/// The right to have one connection open; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Charge(pub(super) Arc<Gate>);

/// Where a request stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind the others.
    Back,
    /// Behind the others, and it has given up a connection for this: it waits for the end of
    /// that and does not count as waiting.
    BackFor,
    /// Before the others: what it was given was of no use.
    Front,
}

/// What a request is to do.
#[derive(Debug)]
pub(super) enum Entry {
    /// Open a connection.
    Open(Charge),
    /// Wait.
    Wait(Waiting),
    /// As many are waiting as may.
    Full,
}

/// What is to become of a connection that has come free.
#[derive(Debug)]
pub(super) enum Offer {
    /// Nobody wants it.
    Keep,
    /// It is to be closed, so that another can be opened elsewhere.
    GiveUp,
    /// This one of the same worker can use it.
    Lend(Waiter),
}

impl Gate {
    pub(super) fn new(by: &Resilience) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            pressure: AtomicU32::new(0),
            per_connection: AtomicU32::new(by.requests_per_connection().unwrap_or(UNBOUND)),
            state: Mutex::new(State {
                max_open: by.connections() as usize,
                max_pending: by.pending_requests() as usize,
                open: 0,
                next: 0,
                queue: VecDeque::new(),
            }),
        })
    }

    /// Replaces the bounds. Connections that are now too many are closed as they come free.
    pub(super) fn set(self: &Arc<Self>, by: &Resilience) {
        let per_connection = by.requests_per_connection().unwrap_or(UNBOUND);
        self.per_connection.store(per_connection, Ordering::Relaxed);
        let mut granted = Vec::new();
        {
            let mut state = self.lock();
            state.max_open = by.connections() as usize;
            state.max_pending = by.pending_requests() as usize;
            while state.open < state.max_open
                && let Some(waiter) = state.queue.pop_front()
            {
                state.open += 1;
                granted.push(waiter);
            }
            self.tell(&state);
        }
        for waiter in granted {
            waiter.grant(Grant::Open(Charge(self.clone())));
        }
    }

    /// How many connections are wanted back.
    pub(super) fn pressure(&self) -> u32 {
        self.pressure.load(Ordering::Relaxed)
    }

    /// Whether a connection that has carried so many requests may carry another.
    pub(super) fn allows(&self, requests: u32) -> bool {
        requests < self.per_connection.load(Ordering::Relaxed)
    }

    /// The right to open a connection, if there is one left.
    pub(super) fn reserve(self: &Arc<Self>) -> Option<Charge> {
        let mut state = self.lock();
        (state.open < state.max_open).then(|| {
            state.open += 1;
            Charge(self.clone())
        })
    }

    /// The right to open a connection now, or a place in the queue.
    pub(super) fn enter(
        self: &Arc<Self>,
        worker: usize,
        http2: (bool, bool),
        place: Place,
        now: Instant,
    ) -> Entry {
        let mut state = self.lock();
        if state.open < state.max_open {
            state.open += 1;
            return Entry::Open(Charge(self.clone()));
        }
        let counts = place == Place::Back;
        if counts && state.queue.iter().filter(|w| w.counts).count() >= state.max_pending {
            return Entry::Full;
        }
        let ticket = state.next;
        state.next += 1;
        let (grant, granted) = oneshot::channel();
        let since = match state.queue.front() {
            Some(first) if place == Place::Front => first.since.min(now),
            _ => now,
        };
        let waiter = Waiter {
            ticket,
            worker,
            http2,
            counts,
            since,
            grant,
        };
        match place {
            Place::Front => state.queue.push_front(waiter),
            Place::Back | Place::BackFor => state.queue.push_back(waiter),
        }
        self.tell(&state);
        Entry::Wait(Waiting::new(self.clone(), ticket, granted))
    }

    /// Asks what is to become of a connection of `worker` that has come free.
    pub(super) fn offer(&self, worker: usize, http2: bool) -> Offer {
        let mut state = self.lock();
        if state.open > state.max_open {
            return Offer::GiveUp;
        }
        let Some(first) = state.queue.front() else {
            return Offer::Keep;
        };
        let latest = first.since + HEAD_START;
        let own = state
            .queue
            .iter()
            .position(|w| w.worker == worker && w.can_use(http2) && w.since <= latest);
        let Some(waiter) = own.and_then(|at| state.queue.remove(at)) else {
            return Offer::GiveUp;
        };
        self.tell(&state);
        Offer::Lend(waiter)
    }

    /// Connections that are open, and requests that wait for one.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.open, state.queue.len())
    }

    /// A connection has ended: its right goes to whoever waits longest.
    fn release(self: &Arc<Self>) {
        let next = {
            let mut state = self.lock();
            let next = match state.open > state.max_open {
                true => None,
                false => state.queue.pop_front(),
            };
            if next.is_none() {
                state.open -= 1;
            }
            self.tell(&state);
            next
        };
        // If it has gone away meanwhile the right comes back here.
        if let Some(waiter) = next {
            waiter.grant(Grant::Open(Charge(self.clone())));
        }
    }

    fn leave(&self, ticket: u64) {
        let mut state = self.lock();
        state.queue.retain(|w| w.ticket != ticket);
        self.tell(&state);
    }

    fn tell(&self, state: &State) {
        let wanted = state.queue.len() + state.open.saturating_sub(state.max_open);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.pressure.store(wanted, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests;
