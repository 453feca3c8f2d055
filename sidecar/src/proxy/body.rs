//! Bodies on their way through. They are passed on piece by piece as they come, and read
//! only as fast as they are taken: nothing is collected.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pool::Lease;
use super::record::{Flag, Record};
use super::replay::Replay;
use super::upstream::InFlight;

/// When a body last moved; the time limit of a request counts from there.
pub(super) type Progress = Rc<Cell<Instant>>;

/// The body of a request on its way to an instance.
pub(super) enum Outbound {
    /// There is none.
    Empty,
    /// Straight from the caller.
    Stream(Incoming, Progress),
    /// From the caller, kept for another attempt.
    Replay(Replay, Progress),
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let (frame, progress) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Stream(body, progress) => (ready!(Pin::new(body).poll_frame(cx)), progress),
            Self::Replay(body, progress) => (ready!(body.poll_frame(cx)), progress),
        };
        progress.set(Instant::now());
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body, _) => body.is_end_stream(),
            Self::Replay(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body, _) => body.size_hint(),
            Self::Replay(body, _) => body.size_hint(),
        }
    }
}

/// The body of a response on its way to the caller.
pub(super) enum ReplyBody {
    /// Our own words.
    Local(Option<Bytes>),
    /// An instance's.
    Upstream(Streamed),
}

/// A response body of an instance, with everything that ends when it does.
pub(super) struct Streamed {
    body: Incoming,
    rest: Option<Rest>,
}

struct Rest {
    lease: Lease,
    keep_alive: Option<Duration>,
    record: Record,
    _in_flight: InFlight,
}

impl ReplyBody {
    /// Passes `body` on. At its end the connection goes back to the pool and the record is
    /// finished; at once when there is no body.
    pub(super) fn upstream(
        body: Incoming,
        lease: Lease,
        keep_alive: Option<Duration>,
        record: Record,
        in_flight: InFlight,
    ) -> Self {
        let mut streamed = Streamed {
            rest: Some(Rest {
                lease,
                keep_alive,
                record,
                _in_flight: in_flight,
            }),
            body,
        };
        if streamed.body.is_end_stream() {
            streamed.complete();
            return Self::Local(None);
        }
        Self::Upstream(streamed)
    }
}

impl Streamed {
    fn complete(&mut self) {
        if let Some(rest) = self.rest.take() {
            let now = Instant::now();
            rest.lease.hand_back(now, rest.keep_alive);
            rest.record.finish(now);
        }
    }

    /// The instance broke off: the caller's connection is broken off too, as there is no
    /// other way to say so after the head.
    fn broken(&mut self) {
        if let Some(mut rest) = self.rest.take() {
            rest.record.flag(Flag::Broken);
            rest.record.finish(Instant::now());
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let streamed = match self.get_mut() {
            Self::Local(text) => return Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Self::Upstream(streamed) => streamed,
        };
        let frame = ready!(Pin::new(&mut streamed.body).poll_frame(cx));
        match &frame {
            // The server asks no further once the announced length is there: what is to be
            // done at the end is done with the last piece.
            Some(Ok(_)) if streamed.body.is_end_stream() => streamed.complete(),
            Some(Ok(_)) => {}
            Some(Err(_)) => streamed.broken(),
            None => streamed.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Local(text) => text.is_none(),
            Self::Upstream(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Local(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Upstream(streamed) => streamed.body.size_hint(),
        }
    }
}
