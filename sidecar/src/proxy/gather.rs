//! What a connection in HTTP/2 writes in one turn goes out in one call.
//!
//! The codec hands over each piece of a body by itself, and flushes after it. On a connection
//! that carries many small exchanges that is a call of the kernel for each of them, and a
//! packet. Here a turn of the connection's task is what is written together: the codec writes
//! into a buffer, and whoever drives the connection ([`Gathered::turns`]) sends it when the
//! turn is over.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Executor, Read, ReadBufCursor, Write};

use super::worker::Worker;

/// Up to so many bytes wait for the end of a turn. Beyond that the socket has to take some
/// first: a peer that does not read is felt by whoever writes.
const MOST: usize = 64 * 1024;
/// Room that is made at once: a few small exchanges.
const USUAL: usize = 4 * 1024;
/// A write of so many bytes gains nothing by being copied.
const LARGE: usize = 16 * 1024;

/// A stream that is written to once a turn. Clones are the same stream.
pub(super) struct Gathered<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    stream: S,
    /// Of these bytes the first [`sent`](Self::sent) have been written. Empty between turns,
    /// so that a connection at rest holds nothing.
    pending: Vec<u8>,
    sent: usize,
}

impl<S> Clone for Gathered<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Read + Write + Unpin> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            stream,
            pending: Vec::new(),
            sent: 0,
        })))
    }

    /// Drives `work`, which writes to this stream, and sends after each of its turns what it
    /// has written. `work` itself waits for the rest when it closes the stream.
    pub(super) async fn turns<F: Future>(self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            // A stream that has failed says so to whoever reads from it or writes to it next.
            let _ = self.0.borrow_mut().poll_send(cx);
            polled
        })
        .await
    }
}

impl<S: Write + Unpin> Inner<S> {
    /// Writes all that is pending.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.pending.len() {
            let rest = &self.pending[self.sent..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        self.pending = Vec::new();
        self.sent = 0;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Makes room for what is to be written next.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.pending.len() - self.sent < MOST {
            true => Poll::Ready(Ok(())),
            false => self.poll_send(cx),
        }
    }
}

impl<S: Read + Unpin> Read for Gathered<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buf)
    }
}

impl<S: Write + Unpin> Write for Gathered<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_room(cx))?;
        let len = bufs.iter().map(|piece| piece.len()).sum();
        if inner.pending.is_empty() && len >= LARGE {
            return Pin::new(&mut inner.stream).poll_write_vectored(cx, bufs);
        }
        if inner.pending.is_empty() {
            inner.pending.reserve(USUAL.max(len));
        }
        for piece in bufs {
            inner.pending.extend_from_slice(piece);
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    /// The end of the turn does it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        Pin::new(&mut inner.stream).poll_shutdown(cx)
    }
}

/// Runs what a connection needs that writes to a gathered stream, on its own thread.
pub(super) struct OnTurns<S> {
    pub(super) worker: Rc<Worker>,
    pub(super) stream: Gathered<S>,
}

impl<S> Clone for OnTurns<S> {
    fn clone(&self) -> Self {
        Self {
            worker: self.worker.clone(),
            stream: self.stream.clone(),
        }
    }
}

impl<S, F> Executor<F> for OnTurns<S>
where
    S: Read + Write + Unpin + 'static,
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, work: F) {
        self.worker.drive(self.stream.clone().turns(work));
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn stream(room: usize) -> (Gathered<TokioIo<DuplexStream>>, DuplexStream) {
        let (ours, theirs) = duplex(room);
        (Gathered::new(TokioIo::new(ours)), theirs)
    }

    #[tokio::test]
    async fn a_turn_goes_out_when_it_is_over_and_in_its_order() {
        let (stream, mut peer) = stream(1 << 20);
        let mut io = TokioIo::new(stream.clone());
        let turn = stream.turns(async {
            for piece in [&b"a"[..], b"bc", &[b'd'; LARGE], b"e"] {
                io.write_all(piece).await.unwrap();
                io.flush().await.unwrap();
            }
        });
        turn.await;
        let mut got = vec![0; 3 + LARGE + 1];
        peer.read_exact(&mut got).await.unwrap();
        assert!(got.starts_with(b"abcd") && got.ends_with(b"de"));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_felt_and_loses_nothing() {
        const PIECES: usize = 1000;
        let (stream, mut peer) = stream(1000);
        let mut io = TokioIo::new(stream.clone());
        let held = stream.clone();
        let work = stream.turns(async move {
            for n in 0..PIECES {
                io.write_all(&[n as u8; 1000]).await.unwrap();
                let pending = held.0.borrow().pending.len() - held.0.borrow().sent;
                assert!(pending <= MOST + 1000, "{pending}");
            }
            io.shutdown().await.unwrap();
        });
        let read = async {
            let mut got = Vec::new();
            peer.read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(work, read);
        assert_eq!(got.len(), PIECES * 1000);
        let in_order = got
            .chunks(1000)
            .enumerate()
            .all(|(n, piece)| piece == [n as u8; 1000]);
        assert!(in_order);
    }
}
