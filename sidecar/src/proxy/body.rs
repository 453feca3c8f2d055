//! Bodies on their way through. They are passed on piece by piece as they come, and read
//! only as fast as they are taken: nothing is collected.

mod idle;
mod progress;
mod rest;

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connections::Busy;
use super::pool::Lease;
use super::record::{Flag, Record};
use super::replay::Replay;
use super::upstream::InFlight;
pub(super) use idle::Idle;
pub(super) use progress::Progress;
pub(super) use rest::End;
use rest::Rest;

/// What an exchange holds until the response has come to its end.
pub(super) struct Held {
    pub(super) lease: Lease,
    pub(super) in_flight: InFlight,
    pub(super) progress: Progress,
    /// How long nothing may move.
    pub(super) patience: Duration,
}

/// Why a response body does not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The instance broke off.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Nothing has moved for too long.
    #[error("nothing moved for too long")]
    Idle,
}

/// Why a request body does not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// The caller broke off.
    #[error("{0}")]
    Caller(#[from] hyper::Error),
    /// It is longer than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// The response has ended, and the rest of the request has not moved since.
    #[error("nothing moved for too long")]
    Idle,
}

/// The body of a request on its way to an instance.
pub(super) enum Outbound {
    /// There is none.
    Empty,
    /// Straight from the caller.
    Stream(Incoming, Sent),
    /// From the caller, kept for another attempt.
    Replay(Replay, Sent),
}

/// What was sent of a body in this attempt.
pub(super) struct Sent {
    progress: Progress,
    bytes: u64,
    _caller: Busy,
}

impl Sent {
    /// Nothing yet of what comes over the connection of `caller`.
    pub(super) fn new(progress: &Progress, caller: Busy) -> Self {
        progress.begin();
        Self {
            progress: progress.clone(),
            bytes: 0,
            _caller: caller,
        }
    }

    /// Passes a piece on if it may be.
    fn pass(
        &mut self,
        frame: Result<Frame<Bytes>, hyper::Error>,
    ) -> Result<Frame<Bytes>, SendError> {
        // An instance in HTTP/2 is told by a reset of its stream, and what comes of that looks
        // as if the instance had failed.
        let frame = frame.inspect_err(|_| self.progress.break_off())?;
        self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        match self.progress.allows(self.bytes) {
            true => Ok(frame),
            false => Err(SendError::TooLarge),
        }
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.progress.end();
    }
}

impl Body for Outbound {
    type Data = Bytes;
    type Error = SendError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SendError>>> {
        let (frame, sent) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Stream(body, sent) => {
                let frame = Pin::new(body).poll_frame(cx);
                if frame.is_ready() {
                    sent.progress.set(Instant::now());
                }
                (frame, sent)
            }
            Self::Replay(body, sent) => (body.poll_frame(cx, &sent.progress), sent),
        };
        match frame {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| sent.pass(frame))),
            Poll::Pending => {
                ready!(sent.progress.poll_given_up(cx));
                Poll::Ready(Some(Err(SendError::Idle)))
            }
        }
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
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, and a box would be one more allocation for each"
)]
pub(super) enum ReplyBody {
    /// Our own words.
    Local(Option<Bytes>),
    /// An instance's.
    Upstream(Streamed),
}

/// A response body of an instance.
pub(super) struct Streamed {
    /// There until the response has ended, one way or another.
    rest: Option<Rest>,
    idle: Idle,
    /// What is told when the body is asked for the next time.
    failed: Option<hyper::Error>,
}

impl ReplyBody {
    /// Passes `body` on. At its end the connection goes back to the pool and the record is
    /// finished; at once when there is no body.
    pub(super) fn upstream(
        body: Incoming,
        end: End,
        keep_alive: Option<Duration>,
        record: Record,
        held: Held,
    ) -> Self {
        let ended = body.is_end_stream();
        let (rest, mut idle) = Rest::new(body, end, keep_alive, record, held);
        if ended {
            rest.complete(&idle);
            return Self::Local(None);
        }
        rest.tell(&mut idle);
        Self::Upstream(Streamed {
            rest: Some(rest),
            idle,
            failed: None,
        })
    }
}

impl Streamed {
    /// The instance broke off: the caller's connection is broken off too, as there is no
    /// other way to say so after the head.
    fn broken(&mut self, flag: Flag) {
        if let Some(rest) = self.rest.take() {
            rest.broken(flag);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.left(self.idle.again());
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let streamed = match self.get_mut() {
            Self::Local(text) => return Poll::Ready(text.take().map(|t| Ok(Frame::data(t)))),
            Self::Upstream(streamed) => streamed,
        };
        if let Some(failed) = streamed.failed.take() {
            return Poll::Ready(Some(Err(BodyError::Broken(failed))));
        }
        let Some(rest) = &mut streamed.rest else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(&mut rest.body).poll_frame(cx) {
            Poll::Ready(Some(Err(failed))) => {
                // The server drops what it has not written yet when it hears of a failure,
                // the head included. Its turn to write comes first.
                let flag = match streamed.idle.cut_off() {
                    // What ended the instance's connection may have been a request without end.
                    true => Flag::CallerGone,
                    false => Flag::Broken,
                };
                streamed.broken(flag);
                streamed.failed = Some(failed);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(frame))) => Some(frame),
            Poll::Ready(None) => None,
            Poll::Pending => {
                streamed.idle.waits();
                ready!(streamed.idle.poll(cx));
                streamed.broken(Flag::TimedOut);
                return Poll::Ready(Some(Err(BodyError::Idle)));
            }
        };
        streamed.idle.moved();
        // The server asks no further once the announced length is there: what is to be done at
        // the end is done with the last piece.
        let last = frame.as_ref().is_none_or(Frame::is_trailers) || rest.body.is_end_stream();
        if last && let Some(rest) = streamed.rest.take() {
            rest.complete(&streamed.idle);
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Local(text) => text.is_none(),
            Self::Upstream(streamed) => {
                let rest = streamed.rest.as_ref();
                streamed.failed.is_none() && rest.is_none_or(|rest| rest.body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Local(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Upstream(streamed) => match &streamed.rest {
                Some(rest) => rest.body.size_hint(),
                None => SizeHint::with_exact(0),
            },
        }
    }
}
