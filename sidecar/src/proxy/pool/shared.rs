//! Connections in HTTP/2, which many exchanges share.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use smallvec::SmallVec;

use super::Pool;
use super::account::{Account, Forgotten, Use};
use crate::proxy::body::Outbound;
use crate::proxy::gate::Gate;
use crate::proxy::http2::MAX_STREAMS;
use crate::proxy::upstream::Upstream;

/// One connection.
pub(in crate::proxy) struct Shared {
    sender: RefCell<http2::SendRequest<Outbound>>,
    account: Weak<Account>,
    /// Where it leads to.
    pub(super) upstream: Arc<Upstream>,
    pub(super) address: SocketAddr,
    /// Where it lies.
    pub(super) pool: Weak<Pool>,
    /// Exchanges on it now.
    streams: Cell<usize>,
    /// How many its peer allows.
    limit: Cell<usize>,
    /// When the latest exchange ended.
    since: Cell<Instant>,
}

impl Shared {
    /// A connection that nobody uses yet.
    pub(in crate::proxy) fn new(
        sender: http2::SendRequest<Outbound>,
        account: &Rc<Account>,
        upstream: &Arc<Upstream>,
        address: SocketAddr,
        pool: &Rc<Pool>,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender: RefCell::new(sender),
            account: Rc::downgrade(account),
            upstream: upstream.clone(),
            address,
            pool: Rc::downgrade(pool),
            streams: Cell::new(0),
            limit: Cell::new(MAX_STREAMS as usize),
            since: Cell::new(Instant::now()),
        })
    }

    /// Its peer has said how many exchanges it allows.
    pub(in crate::proxy) fn allow(&self, streams: usize) {
        self.limit.set(streams.clamp(1, MAX_STREAMS as usize));
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.limit.get() && !self.sender.borrow().is_closed()
    }

    /// Whether it is counted for the backend of `gate`.
    pub(super) fn is_of(&self, gate: &Gate) -> bool {
        self.account.upgrade().is_some_and(|a| a.is_of(gate))
    }

    /// Whether it may carry another request of the backend of `gate`.
    pub(super) fn allows(&self, gate: &Gate) -> bool {
        let account = self.account.upgrade();
        account.is_some_and(|a| gate.allows(a.requests()))
    }

    /// Begins an exchange, see [`Account::begin`].
    pub(super) fn begin(&self, gate: &Arc<Gate>) -> Option<Use> {
        self.account.upgrade()?.begin(gate, true)
    }

    /// See [`Account::wanted`].
    pub(super) fn wanted(&self) -> SmallVec<[Arc<Gate>; 1]> {
        let account = self.account.upgrade();
        account.map_or_else(SmallVec::new, |a| a.wanted())
    }

    /// Whether it leads to where the instance still is.
    pub(super) fn is_current(&self) -> bool {
        !self.upstream.is_gone() && self.upstream.addresses.contain(&self.address)
    }

    /// See [`Account::wanted_back`].
    pub(super) fn wanted_back(&self) -> SmallVec<[Arc<Gate>; 1]> {
        let account = self.account.upgrade();
        account.map_or_else(SmallVec::new, |a| a.wanted_back())
    }

    /// See [`Account::forget`].
    pub(super) fn forget(&self, gate: &Gate) -> Forgotten {
        let account = self.account.upgrade();
        account.map_or(Forgotten::Not, |a| a.forget(gate))
    }

    /// Whether this is its account.
    pub(super) fn has(&self, account: &Rc<Account>) -> bool {
        self.account.as_ptr() == Rc::as_ptr(account)
    }

    /// Whether it can be let go: it is closed, or nobody has used it for `idle`.
    pub(super) fn is_over(&self, now: Instant, idle: Duration) -> bool {
        let unused =
            self.streams.get() == 0 && now.saturating_duration_since(self.since.get()) > idle;
        unused || self.sender.borrow().is_closed()
    }
}

/// One exchange's place on a connection.
pub(super) struct Stream(Rc<Shared>);

impl Stream {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        shared.streams.set(shared.streams.get() + 1);
        Self(shared)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.sender.borrow().is_closed()
    }

    pub(super) fn send(
        &self,
        request: Request<Outbound>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>> + use<>
    {
        self.0.sender.borrow_mut().try_send_request(request)
    }

    /// The exchange has come to its end.
    pub(super) fn ended(&self, now: Instant) {
        self.0.since.set(now);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        // An exchange that was broken off has not offered its place to anybody.
        self.0.lend_places();
    }
}
