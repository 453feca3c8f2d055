//! One worker's connections to callers: how many, what each is waiting for, and how they
//! are told to end.
//!
//! Head and idle timeouts are kept here by a sweep once a second instead of by a timer per
//! request: arming and disarming one for every head would cost more than it guards.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// How long the head of a request may take from its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may stay open without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Waiting for the first byte of a request.
    Idle,
    /// Waiting for the rest of a head.
    Head,
    /// Serving a request.
    Busy,
}

/// One connection's state, shared by its socket, its service and the sweep.
#[derive(Debug)]
pub(super) struct Connection {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    owner: Weak<Connections>,
    key: u64,
}

impl Connection {
    /// Bytes have come in.
    pub(super) fn read(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A whole head has come in.
    pub(super) fn busy(&self) {
        self.phase.set(Phase::Busy);
    }

    /// The response is complete, as far as we are concerned.
    pub(super) fn idle(&self) {
        self.enter(Phase::Idle);
    }

    /// Whether the connection has waited for too long and must be closed.
    pub(super) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// Whether no further request is to be served.
    pub(super) fn closing(&self) -> bool {
        self.owner.upgrade().is_none_or(|owner| owner.closing.get())
    }

    /// Remembers how to wake the connection's task.
    pub(super) fn on_wake(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if let Some(owner) = self.owner.upgrade() {
            self.since.set(owner.now.get());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.open.borrow_mut().remove(&self.key);
            owner.ended.notify_one();
        }
    }
}

/// All connections of a worker.
#[derive(Debug)]
pub(super) struct Connections {
    open: RefCell<HashMap<u64, Weak<Connection>>>,
    next: Cell<u64>,
    /// The time of the latest sweep: precise enough for timeouts of many seconds.
    now: Cell<Instant>,
    closing: Cell<bool>,
    /// Told whenever a connection has ended.
    pub(super) ended: tokio::sync::Notify,
}

impl Connections {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            open: RefCell::default(),
            next: Cell::new(0),
            now: Cell::new(Instant::now()),
            closing: Cell::new(false),
            ended: tokio::sync::Notify::new(),
        })
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// A new one, which counts until it is dropped.
    pub(super) fn open(self: &Rc<Self>) -> Rc<Connection> {
        let key = self.next.get();
        self.next.set(key.wrapping_add(1));
        let connection = Rc::new(Connection {
            phase: Cell::new(Phase::Idle),
            since: Cell::new(self.now.get()),
            expired: Cell::new(false),
            waker: RefCell::default(),
            owner: Rc::downgrade(self),
            key,
        });
        self.open
            .borrow_mut()
            .insert(key, Rc::downgrade(&connection));
        connection
    }

    /// Tells every connection to end after the request that it is serving.
    pub(super) fn close(&self) {
        self.closing.set(true);
        for connection in self.all() {
            connection.wake();
        }
    }

    /// Ends the connections that have waited for too long.
    pub(super) fn sweep(&self, now: Instant) {
        self.now.set(now);
        for connection in self.all() {
            let limit = match connection.phase.get() {
                Phase::Idle => IDLE_TIMEOUT,
                Phase::Head => HEAD_TIMEOUT,
                Phase::Busy => continue,
            };
            if now.saturating_duration_since(connection.since.get()) > limit {
                connection.expired.set(true);
                connection.wake();
            }
        }
    }

    fn all(&self) -> Vec<Rc<Connection>> {
        self.open
            .borrow()
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_head_and_a_long_silence_end_a_connection() {
        let connections = Connections::new();
        let start = Instant::now();
        connections.sweep(start);
        let [idle, slow, busy] = [(); 3].map(|()| connections.open());
        slow.read();
        busy.read();
        busy.busy();
        connections.sweep(start + HEAD_TIMEOUT + Duration::from_secs(1));
        let expired = |c: &Rc<Connection>| c.expired();
        assert_eq!([&idle, &slow, &busy].map(expired), [false, true, false]);
        // More bytes of the same head do not buy time.
        slow.read();
        assert!(slow.expired());
        busy.idle();
        connections.sweep(start + IDLE_TIMEOUT + Duration::from_secs(1));
        assert_eq!([&idle, &slow, &busy].map(expired), [true, true, false]);
        drop((idle, slow));
        assert_eq!(connections.len(), 1);
    }
}
