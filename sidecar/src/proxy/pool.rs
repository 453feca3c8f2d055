//! One worker's connections to instances that can be used for another exchange.
//!
//! One in HTTP/1 is lent for one exchange and comes back when the response's body has ended.
//! The one used last is lent first, so that what a burst opened falls idle and is closed.
//! One in HTTP/2 stays here and is shared by as many exchanges as its peer allows.

mod account;
mod dial;
mod lend;
mod shared;
mod single;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use smallvec::SmallVec;

use super::body::{Outbound, Progress};
use super::gate::Gate;
use super::upstream::{Upstream, Want};
pub(super) use account::{Account, Use};
use dial::First;
pub(super) use dial::{Dial, Dialling};
pub(super) use lend::{Wait, Waited};
pub(super) use shared::Shared;
use shared::Stream;
pub(super) use single::Single;

/// The most idle connections that a worker keeps, to one instance and to all.
const MAX_IDLE_EACH: usize = 256;
const MAX_IDLE: usize = 2048;
/// How long an idle connection is kept when its peer does not say how long it does.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How much earlier than announced we give up a connection that its peer will close.
const MARGIN: Duration = Duration::from_secs(1);

struct Idle {
    sender: Single,
    account: Weak<Account>,
    address: SocketAddr,
    since: Instant,
    until: Instant,
}

struct Slot {
    upstream: Arc<Upstream>,
    idle: Vec<Idle>,
    shared: Vec<Rc<Shared>>,
    /// Who opens a connection that others wait for.
    dialling: Option<Rc<First>>,
}

/// The connections by instance.
pub(super) struct Pool {
    /// Whose it is.
    worker: usize,
    slots: RefCell<HashMap<u64, Slot>>,
    idle: Cell<usize>,
    /// Connections that wait for those who waited for them, by ticket.
    tray: RefCell<HashMap<u64, Lease>>,
}

enum Sender {
    One(Single),
    Two(Stream),
}

/// The right to one exchange over a connection. Dropping it early closes a connection in
/// HTTP/1, and gives up the place on one in HTTP/2.
pub(super) struct Lease {
    sender: Sender,
    using: Use,
    upstream: Arc<Upstream>,
    address: SocketAddr,
    pool: Rc<Pool>,
}

impl Lease {
    /// Over a new connection in HTTP/1.
    pub(super) fn one(
        sender: Single,
        using: Use,
        upstream: Arc<Upstream>,
        address: SocketAddr,
        pool: Rc<Pool>,
    ) -> Self {
        Self {
            sender: Sender::One(sender),
            using,
            upstream,
            address,
            pool,
        }
    }

    /// Whether the connection speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Two(_))
    }

    /// Where it leads to.
    pub(super) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Whether a request can be sent at once.
    pub(super) fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_ready(),
            Sender::Two(stream) => !stream.is_closed(),
        }
    }

    /// Whether a request that had a body is over, given that its response is.
    pub(super) fn is_free(&self, progress: &Progress) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_ready() || sender.is_closed(),
            Sender::Two(_) => progress.is_sent(),
        }
    }

    /// Ready when it is over.
    pub(super) fn poll_free(&mut self, progress: &Progress, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.sender {
            Sender::One(sender) => sender.poll_free(cx),
            Sender::Two(_) => progress.poll_sent(cx),
        }
    }

    /// Sends a request whose form fits the connection's version, at once.
    pub(super) fn send(
        &mut self,
        request: Request<Outbound>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>> + use<>
    {
        self.using.account().count();
        match &mut self.sender {
            Sender::One(sender) => Either::Left(sender.send(request)),
            Sender::Two(stream) => Either::Right(stream.send(request)),
        }
    }

    /// Gives the connection back for the next exchange. The response must have been read to
    /// its end; a connection that turns out not to be free for another is closed.
    pub(super) fn hand_back(self, now: Instant, keep_alive: Option<Duration>) {
        let (wanted, more) = self.using.standing();
        let gone = self.upstream.is_gone() || !self.upstream.addresses.contain(&self.address);
        let closed = match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(stream) => stream.is_closed(),
        };
        let lease = match wanted && more && !gone && !closed {
            false => self,
            true => match self.offer(now) {
                Some(unwanted) => unwanted,
                None => return,
            },
        };
        let sender = match lease.sender {
            Sender::Two(stream) => return stream.ended(now),
            Sender::One(sender) => sender,
        };
        if closed || gone || !more || lease.pool.idle.get() >= MAX_IDLE {
            return;
        }
        let stay = keep_alive.map_or(IDLE_TIMEOUT, |said| {
            said.saturating_sub(MARGIN).min(IDLE_TIMEOUT)
        });
        if stay.is_zero() {
            return;
        }
        let mut slots = lease.pool.slots.borrow_mut();
        let slot = Slot::of(&mut slots, &lease.upstream);
        if slot.idle.len() < MAX_IDLE_EACH {
            slot.idle.push(Idle {
                sender,
                account: Rc::downgrade(lease.using.account()),
                address: lease.address,
                since: now,
                until: now + stay,
            });
            lease.pool.idle.set(lease.pool.idle.get() + 1);
        }
    }
}

impl Idle {
    /// Whether it is counted for the backend of `gate`.
    fn is_of(&self, gate: &Gate) -> bool {
        self.account.upgrade().is_some_and(|a| a.is_of(gate))
    }

    /// Whether it may carry another request of the backend of `gate`.
    fn allows(&self, gate: &Gate) -> bool {
        let account = self.account.upgrade();
        account.is_none_or(|a| gate.allows(a.requests()))
    }

    /// See [`Account::wanted_back`].
    fn wanted_back(&self) -> SmallVec<[Arc<Gate>; 1]> {
        let account = self.account.upgrade();
        account.map_or_else(SmallVec::new, |a| a.wanted_back())
    }
}

/// A connection taken out of the pool.
pub(super) struct Taken {
    pub(super) lease: Lease,
    /// How long it lay there: its end may have come meanwhile, and not be known yet.
    /// `None`: it is new.
    pub(super) idle_for: Option<Duration>,
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
    /// The pool of a worker.
    pub(super) fn new(worker: usize) -> Rc<Self> {
        Rc::new(Self {
            worker,
            slots: RefCell::default(),
            idle: Cell::new(0),
            tray: RefCell::default(),
        })
    }

    /// Whose it is.
    pub(super) fn worker(&self) -> usize {
        self.worker
    }

    /// A connection to `upstream` that is there already, speaks what is wanted, and is within
    /// the bounds of the backend of `gate`: rather one that is counted for it already.
    pub(super) fn take(
        self: &Rc<Self>,
        upstream: &Arc<Upstream>,
        want: Want,
        gate: &Arc<Gate>,
        now: Instant,
    ) -> Option<Taken> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&upstream.key)?;
        match want {
            Want::One => {}
            Want::Two => {
                // Those that have carried enough are closed when their exchanges have ended.
                slot.shared
                    .retain(|shared| !shared.is_of(gate) || shared.allows(gate));
                let free = || slot.shared.iter().filter(|shared| shared.has_room());
                let free = free()
                    .find(|shared| shared.is_of(gate))
                    .or_else(|| free().find(|shared| shared.allows(gate)))?;
                let using = free.begin(gate)?;
                return Some(Taken {
                    lease: self.stream(free, using),
                    idle_for: Some(Duration::ZERO),
                });
            }
            Want::Either => return None,
        }
        loop {
            let own = slot.idle.iter().rposition(|c| c.is_of(gate));
            let found = own.or_else(|| slot.idle.iter().rposition(|c| c.allows(gate)));
            let at = found?;
            let idle = slot.idle.remove(at);
            self.idle.set(self.idle.get() - 1);
            // A sender that is not ready belongs to a connection that is about to end; it is
            // not worth waiting for.
            let usable = idle.until > now && idle.sender.is_ready();
            let usable = usable && upstream.addresses.contain(&idle.address);
            let account = idle.account.upgrade();
            let Some(account) = account.filter(|a| usable && gate.allows(a.requests())) else {
                continue;
            };
            let Some(using) = account.begin(gate, false) else {
                slot.idle.insert(at, idle);
                self.idle.set(self.idle.get() + 1);
                return None;
            };
            let pool = self.clone();
            return Some(Taken {
                lease: Lease::one(idle.sender, using, upstream.clone(), idle.address, pool),
                idle_for: Some(now.saturating_duration_since(idle.since)),
            });
        }
    }

    /// Takes in a new connection in HTTP/2, and lends its first stream.
    pub(super) fn share(self: &Rc<Self>, shared: Rc<Shared>, using: Use) -> Lease {
        let lease = self.stream(&shared, using);
        {
            let mut slots = self.slots.borrow_mut();
            let slot = Slot::of(&mut slots, &shared.upstream);
            slot.shared.push(shared.clone());
        }
        shared.lend_places();
        lease
    }

    fn stream(self: &Rc<Self>, shared: &Rc<Shared>, using: Use) -> Lease {
        Lease {
            sender: Sender::Two(Stream::new(shared.clone())),
            using,
            upstream: shared.upstream.clone(),
            address: shared.address,
            pool: self.clone(),
        }
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
                .retain(|s| !s.is_over(now, IDLE_TIMEOUT) && addresses.contain(&s.address));
            left += slot.idle.len();
            !slot.idle.is_empty() || !slot.shared.is_empty() || slot.dialling.is_some()
        });
        self.idle.set(left);
    }

    /// Closes all idle connections.
    pub(super) fn clear(&self) {
        self.slots.borrow_mut().clear();
        self.idle.set(0);
        // What lies there holds the pool.
        let tray = self.tray.take();
        drop(tray);
    }
}
