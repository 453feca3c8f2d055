//! One worker's connections to instances that can be used for another exchange.
//!
//! One in HTTP/1 is lent for one exchange and comes back when the response's body has ended.
//! The one used last is lent first, so that what a burst opened falls idle and is closed.
//! One in HTTP/2 stays here and is shared by as many exchanges as its peer allows.

mod shared;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::sync::Notify;

use super::body::Outbound;
use super::upstream::{Upstream, Want};
pub(super) use shared::Shared;
use shared::Stream;

/// The most idle connections that a worker keeps, to one instance and to all.
const MAX_IDLE_EACH: usize = 256;
const MAX_IDLE: usize = 2048;
/// How long an idle connection is kept when its peer does not say how long it does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How much earlier than announced we give up a connection that its peer will close.
const MARGIN: Duration = Duration::from_secs(1);

struct Idle {
    sender: http1::SendRequest<Outbound>,
    address: SocketAddr,
    since: Instant,
    until: Instant,
}

struct Slot {
    upstream: Arc<Upstream>,
    idle: Vec<Idle>,
    shared: Vec<(SocketAddr, Rc<Shared>)>,
    /// Told when a connection that others wait for has come about, or has not.
    dialling: Option<Rc<Notify>>,
}

/// The connections by instance.
#[derive(Default)]
pub(super) struct Pool {
    slots: RefCell<HashMap<u64, Slot>>,
    idle: Cell<usize>,
}

enum Sender {
    One(http1::SendRequest<Outbound>),
    Two(Stream),
}

/// The right to one exchange over a connection. Dropping it early closes a connection in
/// HTTP/1, and gives up the place on one in HTTP/2.
pub(super) struct Lease {
    sender: Sender,
    upstream: Arc<Upstream>,
    address: SocketAddr,
    pool: Rc<Pool>,
}

impl Lease {
    /// Over a new connection in HTTP/1.
    pub(super) fn one(
        sender: http1::SendRequest<Outbound>,
        upstream: Arc<Upstream>,
        address: SocketAddr,
        pool: Rc<Pool>,
    ) -> Self {
        Self {
            sender: Sender::One(sender),
            upstream,
            address,
            pool,
        }
    }

    /// Whether the connection speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Two(_))
    }

    /// Whether a request can be sent at once.
    pub(super) fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_ready(),
            Sender::Two(stream) => !stream.is_closed(),
        }
    }

    /// Sends a request whose form fits the connection's version.
    pub(super) async fn send(
        &mut self,
        request: Request<Outbound>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outbound>>> {
        match &mut self.sender {
            Sender::One(sender) => sender.try_send_request(request).await,
            Sender::Two(stream) => stream.send(request).await,
        }
    }

    /// Gives the connection back for the next exchange. The response must have been read to
    /// its end; a connection that turns out not to be free for another is closed.
    pub(super) fn hand_back(self, now: Instant, keep_alive: Option<Duration>) {
        let sender = match self.sender {
            Sender::Two(stream) => return stream.ended(now),
            Sender::One(sender) => sender,
        };
        let gone = self.upstream.is_gone() || !self.upstream.addresses.contain(&self.address);
        if sender.is_closed() || gone || self.pool.idle.get() >= MAX_IDLE {
            return;
        }
        let stay = keep_alive.map_or(IDLE_TIMEOUT, |said| {
            said.saturating_sub(MARGIN).min(IDLE_TIMEOUT)
        });
        if stay.is_zero() {
            return;
        }
        let mut slots = self.pool.slots.borrow_mut();
        let slot = Slot::of(&mut slots, &self.upstream);
        if slot.idle.len() < MAX_IDLE_EACH {
            slot.idle.push(Idle {
                sender,
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

impl Slot {
    fn of<'a>(slots: &'a mut HashMap<u64, Self>, upstream: &Arc<Upstream>) -> &'a mut Self {
        slots.entry(upstream.key).or_insert_with(|| Self {
            upstream: upstream.clone(),
            idle: Vec::new(),
            shared: Vec::new(),
            dialling: None,
        })
    }
}

impl Pool {
    /// A connection to `upstream` that is there already and speaks what is wanted.
    pub(super) fn take(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        want: Want,
        now: Instant,
    ) -> Option<Taken> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&upstream.key)?;
        match want {
            Want::One => {}
            Want::Two => {
                let (address, free) = slot.shared.iter().find(|(_, shared)| shared.has_room())?;
                return Some(Taken {
                    lease: self.stream(free, upstream, *address),
                    idle_for: Duration::ZERO,
                });
            }
            Want::Either => return None,
        }
        while let Some(idle) = slot.idle.pop() {
            self.idle.set(self.idle.get() - 1);
            // A sender that is not ready belongs to a connection that is still sending a
            // request whose response came early; it is not worth waiting for.
            let usable = idle.until > now && idle.sender.is_ready();
            if usable && upstream.addresses.contain(&idle.address) {
                let pool = self.clone();
                return Some(Taken {
                    lease: Lease::one(idle.sender, upstream.clone(), idle.address, pool),
                    idle_for: now.saturating_duration_since(idle.since),
                });
            }
        }
        None
    }

    /// Takes in a new connection in HTTP/2, and lends its first stream.
    pub(super) fn share(
        self: &Rc<Self>,
        shared: Rc<Shared>,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
    ) -> Lease {
        let lease = self.stream(&shared, upstream, address);
        let mut slots = self.slots.borrow_mut();
        let slot = Slot::of(&mut slots, upstream);
        slot.shared.push((address, shared));
        lease
    }

    fn stream(
        self: &Rc<Self>,
        shared: &Rc<Shared>,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
    ) -> Lease {
        Lease {
            sender: Sender::Two(Stream::new(shared.clone())),
            upstream: upstream.clone(),
            address,
            pool: self.clone(),
        }
    }

    /// Asks for the right to open a connection that others may share. Who is second waits
    /// for the first.
    pub(super) fn dial(self: &Rc<Self>, upstream: &Arc<Upstream>) -> Dial {
        let mut slots = self.slots.borrow_mut();
        let slot = Slot::of(&mut slots, upstream);
        if let Some(first) = &slot.dialling {
            return Dial::Wait(first.clone());
        }
        slot.dialling = Some(Rc::default());
        Dial::Go(Dialling {
            pool: self.clone(),
            key: upstream.key,
        })
    }

    /// Closes what has been idle for too long, was closed by its peer, or leads to an
    /// instance or an address that is gone. Exchanges under way go on.
    pub(super) fn sweep(&self, now: Instant) {
        let mut left = 0;
        self.slots.borrow_mut().retain(|_, slot| {
            if slot.upstream.is_gone() {
                return slot.dialling.is_some();
            }
            let addresses = &slot.upstream.addresses;
            slot.idle.retain(|c| {
                c.until > now && !c.sender.is_closed() && addresses.contain(&c.address)
            });
            if slot.idle.len() < slot.idle.capacity() / 4 {
                slot.idle.shrink_to_fit();
            }
            slot.shared
                .retain(|(a, s)| !s.is_over(now, IDLE_TIMEOUT) && addresses.contain(a));
            left += slot.idle.len();
            !slot.idle.is_empty() || !slot.shared.is_empty() || slot.dialling.is_some()
        });
        self.idle.set(left);
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        self.slots.borrow_mut().clear();
        self.idle.set(0);
    }
}

/// Who opens a connection that others may share.
pub(super) enum Dial {
    /// The asker; the others wait until this is dropped.
    Go(Dialling),
    /// Somebody else does: the asker is told when it is over, whichever way.
    Wait(Rc<Notify>),
}

/// The right to open a connection; it ends with the attempt.
pub(super) struct Dialling {
    pool: Rc<Pool>,
    key: u64,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut slots = self.pool.slots.borrow_mut();
        if let Some(others) = slots.get_mut(&self.key).and_then(|s| s.dialling.take()) {
            others.notify_waiters();
        }
    }
}
