//! How long a connection waits for its peer.
//!
//! A peer that takes nothing of an answer for a while, or that spends too long on the head of
//! a request, holds memory and a place that others could have: its connection ends. How long
//! a kept connection may idle between two requests is another matter, and hyper's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};

use super::Limits;
use crate::task::Stop;

/// A connection that ends with an error when its peer does not go on.
pub(super) struct Patient<S> {
    stream: S,
    turns: Turns,
    /// The head that is coming in: of which request, and until when.
    head: Option<(u64, Instant)>,
    head_timer: Option<Pin<Box<Sleep>>>,
    head_limit: Duration,
    /// Runs while a write waits.
    stall: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    stall_limit: Duration,
    stop: Stop,
}

/// How long a write may wait once the server stops.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl<S> Patient<S> {
    /// The first head has to come within its time from now; that of a later request counts
    /// from its first byte.
    pub(super) fn new(stream: S, turns: Turns, limits: &Limits, stop: Stop) -> Self {
        Self {
            stream,
            turns,
            head: Some((0, Instant::now() + limits.head_timeout)),
            head_timer: None,
            head_limit: limits.head_timeout,
            stall: None,
            stall_limit: limits.stall_timeout,
            stop,
        }
    }

    /// Fails when the head that is coming in takes too long; `came` says that more of it is
    /// there, otherwise `cx` is woken when its time is over.
    fn mind_head(&mut self, came: bool, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(next) = self.turns.awaited() else {
            self.head = None;
            return Ok(());
        };
        let known = self.head.filter(|(of, _)| *of == next);
        self.head = known.or_else(|| came.then(|| (next, Instant::now() + self.head_limit)));
        let Some((_, due)) = self.head else {
            return Ok(());
        };
        let over = match came {
            true => due <= Instant::now(),
            false => {
                let timer = self
                    .head_timer
                    .get_or_insert_with(|| Box::pin(sleep_until(due)));
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                timer.as_mut().poll(cx).is_ready()
            }
        };
        match over {
            true => Err(late("the head of a request took too long")),
            false => Ok(()),
        }
    }

    /// Fails when writing has waited for too long without getting on.
    fn mind_stall(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let timer = self.stall.get_or_insert_with(|| {
            let (limit, stop) = (self.stall_limit, self.stop.clone());
            let last = async move {
                stop.wait().await;
                sleep(LAST_WAIT).await;
            };
            Box::pin(async move { drop(timeout(limit, last).await) })
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(late("the peer stopped reading")))
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if !matches!(read, Poll::Ready(Err(_))) {
            self.mind_head(read.is_ready(), cx)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.mind_stall(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.mind_stall(written, cx)
    }
}

/// The requests of one connection, one after the other.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Counts>);

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Turns {
    /// A request has come in; it is under way until what is returned is dropped.
    pub(super) fn begin(&self) -> Turn {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Turn(self.clone())
    }

    /// The number of the request that comes next; `None` while one is under way.
    fn awaited(&self) -> Option<u64> {
        // One task drives the connection and answers its requests: the order is its own.
        let [begun, ended] = [&self.0.begun, &self.0.ended].map(|n| n.load(Ordering::Relaxed));
        (begun == ended).then_some(begun)
    }
}

/// A request under way.
pub(super) struct Turn(Turns);

impl Turn {
    /// Goes on until the body of its answer ends.
    pub(super) fn until_sent(self, answer: Response) -> Response {
        answer.map(|body| Body::new(Held { body, _turn: self }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

struct Held {
    body: Body,
    _turn: Turn,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
