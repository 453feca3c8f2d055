//! What an exchange holds until its response has ended, and what becomes of it then.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http_body::Body;
use hyper::body::Incoming;

use super::Held;
use super::idle::Idle;
use crate::proxy::pool::Lease;
use crate::proxy::record::{Flag, Record};
use crate::proxy::upstream::InFlight;

/// By what a caller knows where a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum End {
    /// The head: the method or the status say that there is no body.
    Head,
    /// A length, the last chunk, or the end of the stream.
    Told,
    /// The end of the connection, in HTTP/1.0.
    Connection,
}

/// The rest of a response, with everything that ends when it does.
pub(super) struct Rest {
    pub(super) body: Incoming,
    end: End,
    lease: Lease,
    keep_alive: Option<Duration>,
    record: Record,
    _in_flight: InFlight,
}

impl Rest {
    /// Of a response that has just begun, and what watches over it.
    pub(super) fn new(
        body: Incoming,
        end: End,
        keep_alive: Option<Duration>,
        record: Record,
        held: Held,
    ) -> (Self, Idle) {
        let idle = Idle::new(held.progress, held.patience);
        let rest = Self {
            body,
            end,
            lease: held.lease,
            keep_alive,
            record,
            _in_flight: held.in_flight,
        };
        (rest, idle)
    }

    /// Tells the task of the exchange what watches over it, where there is such a task.
    pub(super) fn tell(&self, idle: &mut Idle) {
        if self.record.is_multiplexed() {
            self.record.worker().begun.set(Some(idle.share()));
        }
    }

    /// The response has been read to its end.
    pub(super) fn complete(self, idle: &Idle) {
        let now = Instant::now();
        match idle.progress().has_body() && !self.lease.is_free(idle.progress()) {
            false => self.lease.hand_back(now, self.keep_alive),
            true => {
                let freed = freed(self.lease, self.keep_alive, idle.again());
                self.record.worker().drive(freed);
            }
        }
        self.record.finish(now);
    }

    /// It will not come to its end.
    pub(super) fn broken(mut self, flag: Flag) {
        if self.end == End::Connection {
            self.record.break_off();
        }
        self.record.flag(flag);
        self.record.finish(Instant::now());
    }

    /// The caller asks no further. If it has all that it was to get, the response is complete,
    /// though in HTTP/2 the instance may be yet to say so; otherwise the record says that the
    /// caller has gone.
    pub(super) fn left(mut self, mut idle: Idle) {
        if self.end != End::Head && self.body.size_hint().exact() != Some(0) {
            return;
        }
        match poll_end(&mut self.body, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(true) => self.complete(&idle),
            Poll::Ready(false) => self.record.finish(Instant::now()),
            Poll::Pending => {
                // To go now would tell the instance that nobody wants its answer, and would
                // give away a place that is still taken.
                let (mut body, lease, keep_alive) = (self.body, self.lease, self.keep_alive);
                self.record.worker().drive(async move {
                    let ended = poll_fn(|cx| match poll_end(&mut body, cx) {
                        Poll::Pending => idle.poll(cx).map(|()| false),
                        ended => ended,
                    });
                    if ended.await {
                        freed(lease, keep_alive, idle).await;
                    }
                });
                self.record.finish(Instant::now());
            }
        }
    }
}

/// Gives the connection back once the request has ended as well, which may be longer than its
/// response. One that does not move is given up.
async fn freed(mut lease: Lease, keep_alive: Option<Duration>, mut idle: Idle) {
    let free = poll_fn(|cx| match lease.poll_free(idle.progress(), cx) {
        Poll::Pending => idle.poll(cx).map(|()| false),
        Poll::Ready(()) => Poll::Ready(true),
    });
    match free.await {
        true => lease.hand_back(Instant::now(), keep_alive),
        false => idle.progress().give_up(),
    }
}

/// Whether the end comes after nothing but trailers.
fn poll_end(body: &mut Incoming, cx: &mut Context<'_>) -> Poll<bool> {
    loop {
        match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
            None => return Poll::Ready(true),
            Some(Ok(frame)) if frame.data_ref().is_none_or(|data| data.is_empty()) => {}
            Some(_) => return Poll::Ready(false),
        }
    }
}
