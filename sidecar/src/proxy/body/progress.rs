//! How the bodies of an exchange stand.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
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
    /// Whether a piece of the response is being sent, in HTTP/2.
    handed_over: Cell<bool>,
    request: Request,
}

/// The request's body.
#[derive(Debug, Default)]
struct Request {
    /// Whether there is one.
    exists: Cell<bool>,
    /// How many send it: one, and those of former attempts that are not gone yet.
    senders: Cell<usize>,
    given_up: Cell<bool>,
    /// Wakes who sends it.
    sender: RefCell<Option<Waker>>,
    /// Wakes who waits for its end.
    waiting: RefCell<Option<Waker>>,
}

impl Progress {
    /// Of an exchange that began at `now`, whose request may have a body of `most` bytes.
    pub(in crate::proxy) fn new(now: Instant, most: u64) -> Self {
        Self(Rc::new(State {
            moved: Cell::new(now),
            most,
            oversized: Cell::new(false),
            broken_off: Cell::new(false),
            handed_over: Cell::new(false),
            request: Request::default(),
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

    /// A piece of the response was asked for in HTTP/2, and was there or not.
    pub(super) fn hand_over(&self, piece: bool) {
        self.0.handed_over.set(piece);
    }

    /// Whether a piece of the response is being sent, in HTTP/2.
    pub(in crate::proxy) fn is_handed_over(&self) -> bool {
        self.0.handed_over.get()
    }

    /// The request has a body, and it is being sent.
    pub(super) fn begin(&self) {
        let request = &self.0.request;
        request.exists.set(true);
        request.senders.set(request.senders.get() + 1);
    }

    /// It is no longer sent.
    pub(super) fn end(&self) {
        let request = &self.0.request;
        let left = request.senders.get().saturating_sub(1);
        request.senders.set(left);
        if left == 0
            && let Some(waker) = request.waiting.take()
        {
            waker.wake();
        }
    }

    /// Whether the request has a body.
    pub(super) fn has_body(&self) -> bool {
        self.0.request.exists.get()
    }

    /// Whether the request's body is not being sent, or no longer.
    pub(in crate::proxy) fn is_sent(&self) -> bool {
        self.0.request.senders.get() == 0
    }

    /// Ready when the request's body is not being sent, or no longer.
    pub(in crate::proxy) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_sent() {
            return Poll::Ready(());
        }
        self.0.request.waiting.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// The rest of the request is not worth waiting for.
    pub(in crate::proxy) fn give_up(&self) {
        self.0.request.given_up.set(true);
        if let Some(waker) = self.0.request.sender.take() {
            waker.wake();
        }
    }

    /// Ready when it has been given up. Who sends it asks when there is nothing to send yet.
    pub(super) fn poll_given_up(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.request.given_up.get() {
            return Poll::Ready(());
        }
        let mut known = self.0.request.sender.borrow_mut();
        if !known
            .as_ref()
            .is_some_and(|known| known.will_wake(cx.waker()))
        {
            *known = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}
