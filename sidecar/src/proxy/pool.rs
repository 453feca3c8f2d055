//! One worker's idle connections to instances.
//!
//! A connection is lent for one exchange and comes back when the response's body has ended.
//! The one used last is lent first, so that what a burst opened falls idle and is closed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use super::body::Outbound;
use super::upstream::Upstream;

/// The most idle connections that a worker keeps, to one instance and to all.
const MAX_IDLE_EACH: usize = 256;
const MAX_IDLE: usize = 2048;
/// How long an idle connection is kept when its peer does not say how long it does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How much earlier than announced we give up a connection that its peer will close.
const MARGIN: Duration = Duration::from_secs(1);

struct Idle {
    sender: SendRequest<Outbound>,
    address: SocketAddr,
    since: Instant,
    until: Instant,
}

struct Slot {
    upstream: Arc<Upstream>,
    idle: Vec<Idle>,
}

/// Idle connections by instance.
#[derive(Default)]
pub(super) struct Pool {
    slots: RefCell<HashMap<u64, Slot>>,
    idle: Cell<usize>,
}

/// A connection lent for one exchange. Dropping it closes the connection.
pub(super) struct Lease {
    pub(super) sender: SendRequest<Outbound>,
    upstream: Arc<Upstream>,
    address: SocketAddr,
    pool: Rc<Pool>,
}

impl Lease {
    pub(super) fn new(
        sender: SendRequest<Outbound>,
        upstream: Arc<Upstream>,
        address: SocketAddr,
        pool: Rc<Pool>,
    ) -> Self {
        Self {
            sender,
            upstream,
            address,
            pool,
        }
    }

    /// Gives the connection back for the next exchange. The response must have been read to
    /// its end; a connection that turns out not to be free for another is closed.
    pub(super) fn hand_back(self, now: Instant, keep_alive: Option<Duration>) {
        let gone = self.upstream.is_gone() || !self.upstream.addresses.contain(&self.address);
        if self.sender.is_closed() || gone || self.pool.idle.get() >= MAX_IDLE {
            return;
        }
        let stay = keep_alive.map_or(IDLE_TIMEOUT, |said| {
            said.saturating_sub(MARGIN).min(IDLE_TIMEOUT)
        });
        if stay.is_zero() {
            return;
        }
        let mut slots = self.pool.slots.borrow_mut();
        let slot = slots.entry(self.upstream.key).or_insert_with(|| Slot {
            upstream: self.upstream,
            idle: Vec::new(),
        });
        if slot.idle.len() < MAX_IDLE_EACH {
            slot.idle.push(Idle {
                sender: self.sender,
                address: self.address,
                since: now,
                until: now + stay,
            });
            self.pool.idle.set(self.pool.idle.get() + 1);
        }
    }
}

/// A connection taken out of the pool.
pub(super) struct Taken {
    pub(super) lease: Lease,
    /// How long it lay there: its end may have come meanwhile, and not be known yet.
    pub(super) idle_for: Duration,
}

impl Pool {
    /// The idle connection to `upstream` that was used last, if there is one.
    pub(super) fn take(self: &Rc<Self>, upstream: &Arc<Upstream>, now: Instant) -> Option<Taken> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&upstream.key)?;
        while let Some(idle) = slot.idle.pop() {
            self.idle.set(self.idle.get() - 1);
            // A sender that is not ready belongs to a connection that is still sending a
            // request whose response came early; it is not worth waiting for.
            if idle.until > now
                && idle.sender.is_ready()
                && upstream.addresses.contain(&idle.address)
            {
                let pool = self.clone();
                return Some(Taken {
                    lease: Lease::new(idle.sender, upstream.clone(), idle.address, pool),
                    idle_for: now.saturating_duration_since(idle.since),
                });
            }
        }
        None
    }

    /// Closes what has been idle for too long, was closed by its peer, or leads to an
    /// instance or an address that is gone.
    pub(super) fn sweep(&self, now: Instant) {
        let mut left = 0;
        self.slots.borrow_mut().retain(|_, slot| {
            if slot.upstream.is_gone() {
                return false;
            }
            let addresses = &slot.upstream.addresses;
            slot.idle.retain(|c| {
                c.until > now && !c.sender.is_closed() && addresses.contain(&c.address)
            });
            if slot.idle.len() < slot.idle.capacity() / 4 {
                slot.idle.shrink_to_fit();
            }
            left += slot.idle.len();
            !slot.idle.is_empty()
        });
        self.idle.set(left);
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        self.slots.borrow_mut().clear();
        self.idle.set(0);
    }
}
