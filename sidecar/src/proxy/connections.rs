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

/// How long a caller may refuse to take anything of what it is sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest first line of a request, in bytes.
pub(super) const MAX_LINE: usize = 16 * 1024;
/// How much of a head is read at a time, in bytes.
const SCRATCH: usize = 4096;
/// The room for a head that a connection keeps between requests, in bytes.
const KEPT_HEAD: usize = 1024;

/// The first line of a request is longer than it may be.
#[derive(Debug, thiserror::Error)]
#[error("the first line of a request has more than {MAX_LINE} bytes")]
pub(super) struct LineTooLong;

/// One connection's state, shared by its stream, its service and the sweep.
#[derive(Debug)]
pub(super) struct Connection {
    /// Requests being served; more than one in HTTP/2 only.
    in_flight: Cell<u32>,
    /// Whether part of a head has come in, in HTTP/1.
    within_head: Cell<bool>,
    /// What was read of the head since the latest response, in HTTP/1.
    head: RefCell<Vec<u8>>,
    /// Whether requests share the connection, as in HTTP/2.
    multiplexed: Cell<bool>,
    /// Whether it has changed its protocol, and has no more requests.
    upgraded: Cell<bool>,
    /// When what it waits for now began.
    since: Cell<Instant>,
    /// Since when the caller takes nothing of what there is for it.
    stalled: Cell<Option<Instant>>,
    expired: Cell<bool>,
    /// Whether it is told to end as it has waited for too long, in HTTP/2.
    retired: Cell<bool>,
    /// Whether its end must not look like the end of a response.
    broken_off: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    owner: Weak<Connections>,
    key: u64,
}

impl Connection {
    /// Bytes have come in.
    pub(super) fn read(&self) {
        // In HTTP/2 they may be no more than answers to our own pings.
        if self.in_flight.get() > 0 || self.multiplexed.get() {
            return;
        }
        // Only the first bytes of a head count: more of them buy no time.
        if !self.within_head.replace(true) {
            self.since_now();
        }
    }

    /// Whether what comes in next is, or begins with, a head in HTTP/1.
    pub(super) fn awaits_head(&self) -> bool {
        self.in_flight.get() == 0 && !self.multiplexed.get()
    }

    /// Keeps what has come in of a head.
    ///
    /// # Errors
    /// The first line is longer than it may be.
    pub(super) fn keep(&self, bytes: &[u8]) -> Result<(), LineTooLong> {
        let mut head = self.head.borrow_mut();
        let within_line = head.len() < MAX_LINE && !head.contains(&b'\n');
        head.extend_from_slice(bytes);
        if within_line && head.len() > MAX_LINE && !head[..MAX_LINE].contains(&b'\n') {
            return Err(LineTooLong);
        }
        Ok(())
    }

    /// Looks at what was kept of the head.
    pub(super) fn with_head<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.head.borrow())
    }

    /// Bytes were to be written, and some were taken or none.
    pub(super) fn written(&self, taken: bool) {
        if taken {
            self.stalled.set(None);
        } else if self.stalled.get().is_none() {
            self.stalled.set(self.owner.upgrade().map(|o| o.now.get()));
        }
    }

    /// What comes before the first request is done: the wait for that begins.
    pub(super) fn opened(&self) {
        self.within_head.set(false);
        self.since_now();
    }

    /// It turned out to speak HTTP/2.
    pub(super) fn multiplex(&self) {
        self.multiplexed.set(true);
        self.opened();
    }

    /// It carries bytes of another protocol from now on.
    pub(super) fn upgrade(&self) {
        self.upgraded.set(true);
    }

    /// Whether requests share it, as in HTTP/2.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.get()
    }

    /// A whole head has come in.
    pub(super) fn busy(&self) {
        self.within_head.set(false);
        self.in_flight.set(self.in_flight.get() + 1);
    }

    /// Keeps it busy as long as the answer lives, too.
    pub(super) fn hold(self: &Rc<Self>) -> Busy {
        self.in_flight.set(self.in_flight.get() + 1);
        Busy(self.clone())
    }

    /// A response is complete, as far as we are concerned.
    pub(super) fn idle(&self) {
        let left = self.in_flight.get().saturating_sub(1);
        self.in_flight.set(left);
        if left > 0 {
            return;
        }
        let mut head = self.head.borrow_mut();
        head.clear();
        head.shrink_to(KEPT_HEAD);
        self.since_now();
    }

    /// Whether the connection has waited for too long and must be closed.
    pub(super) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// A response that only the end of the connection ends has failed.
    pub(super) fn break_off(&self) {
        self.broken_off.set(true);
    }

    /// Whether the end of the connection is to be a reset.
    pub(super) fn is_broken_off(&self) -> bool {
        self.broken_off.get()
    }

    /// Whether no further request is to be served.
    pub(super) fn closing(&self) -> bool {
        self.retired.get() || self.owner.upgrade().is_none_or(|owner| owner.closing.get())
    }

    /// Remembers how to wake the connection's task.
    pub(super) fn on_wake(&self, waker: &Waker) {
        *self.waker.borrow_mut() = Some(waker.clone());
    }

    /// Whether it has waited for longer than it may.
    fn overdue(&self, now: Instant) -> bool {
        let longer = |since: Instant, limit| now.saturating_duration_since(since) > limit;
        if self.stalled.get().is_some_and(|s| longer(s, STALL_TIMEOUT)) {
            return true;
        }
        if self.in_flight.get() > 0 {
            return false;
        }
        let limit = if self.within_head.get() || self.retired.get() {
            HEAD_TIMEOUT
        } else {
            IDLE_TIMEOUT
        };
        longer(self.since.get(), limit)
    }

    /// It has waited for too long. In HTTP/2 the caller is told which requests we have not
    /// seen, so that none is lost, and the connection ends when that has been heard.
    fn end(&self) {
        let idle = self.multiplexed.get() && self.stalled.get().is_none();
        if idle && !self.retired.replace(true) {
            self.since_now();
        } else {
            self.expired.set(true);
        }
        self.wake();
    }

    fn since_now(&self) {
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

/// Keeps a connection busy as long as it lives: the response may be over before the request.
#[derive(Debug)]
pub(super) struct Busy(Rc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.idle();
        if self.0.in_flight.get() == 0 {
            // If the request has been given up, HTTP must see that nobody takes what is still
            // to come of it.
            self.0.wake();
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
    /// Where heads are read into before they are passed on.
    scratch: RefCell<Box<[u8]>>,
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
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            ended: tokio::sync::Notify::new(),
        })
    }

    /// Lends the worker's room for reading.
    pub(super) fn scratch(&self) -> std::cell::RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
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
            in_flight: Cell::new(0),
            within_head: Cell::new(false),
            head: RefCell::default(),
            multiplexed: Cell::new(false),
            upgraded: Cell::new(false),
            since: Cell::new(self.now.get()),
            stalled: Cell::new(None),
            expired: Cell::new(false),
            retired: Cell::new(false),
            broken_off: Cell::new(false),
            waker: RefCell::default(),
            owner: Rc::downgrade(self),
            key,
        });
        self.open
            .borrow_mut()
            .insert(key, Rc::downgrade(&connection));
        connection
    }

    /// Whether a request is being served. What an upgraded connection carries is none.
    pub(super) fn any_request(&self) -> bool {
        let mut open = self.all().into_iter();
        open.any(|c| c.in_flight.get() > 0 && !c.upgraded.get())
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
            if connection.overdue(now) {
                connection.end();
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

    #[test]
    fn a_connection_without_requests_ends_in_http2_whatever_else_comes_in() {
        let connections = Connections::new();
        let start = Instant::now();
        connections.sweep(start);
        let [idle, busy] = [(); 2].map(|()| connections.open());
        for connection in [&idle, &busy] {
            connection.multiplex();
            connection.busy();
        }
        let later = start + IDLE_TIMEOUT;
        connections.sweep(later);
        idle.idle();
        // Such as answers to pings.
        let last = later + IDLE_TIMEOUT;
        connections.sweep(last);
        idle.read();
        assert!(!idle.closing());
        connections.sweep(last + Duration::from_secs(1));
        // It is told first, and has time to hear it.
        assert_eq!([&idle, &busy].map(|c| c.closing()), [true, false]);
        connections.sweep(last + HEAD_TIMEOUT);
        assert!(!idle.expired());
        connections.sweep(last + HEAD_TIMEOUT + Duration::from_secs(2));
        assert_eq!([&idle, &busy].map(|c| c.expired()), [true, false]);
    }

    #[test]
    fn a_handshake_takes_no_time_from_the_first_request() {
        let connections = Connections::new();
        let start = Instant::now();
        connections.sweep(start);
        let [slow, done] = [(); 2].map(|()| connections.open());
        slow.read();
        done.read();
        connections.sweep(start + HEAD_TIMEOUT);
        done.opened();
        connections.sweep(start + 2 * HEAD_TIMEOUT + Duration::from_secs(1));
        assert_eq!([slow.expired(), done.expired()], [true, false]);
        // The first byte of a head begins the time for it.
        done.read();
        connections.sweep(start + 4 * HEAD_TIMEOUT);
        assert!(done.expired());
    }

    #[test]
    fn a_connection_is_busy_until_response_and_request_have_ended() {
        let connections = Connections::new();
        let start = Instant::now();
        connections.sweep(start);
        let connection = connections.open();
        connection.read();
        connection.busy();
        let request = connection.hold();
        connection.idle();
        connection.read();
        assert!(!connection.awaits_head());
        connections.sweep(start + 2 * IDLE_TIMEOUT);
        assert!(!connection.expired());
        drop(request);
        assert!(connection.awaits_head());
        connections.sweep(start + 3 * IDLE_TIMEOUT);
        assert!(!connection.expired());
        connections.sweep(start + 3 * IDLE_TIMEOUT + Duration::from_secs(1));
        assert!(connection.expired());
    }
}
