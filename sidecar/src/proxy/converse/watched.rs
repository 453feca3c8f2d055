//! A caller's stream, as HTTP sees it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use send_wrapper::SendWrapper;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::proxy::connections::Connection;
use crate::proxy::relay::Side;
use crate::proxy::transport::Transport;
use crate::proxy::worker::Worker;

/// What a caller gets whose first line has no end.
const URI_TOO_LONG: &[u8] = b"HTTP/1.1 414 URI Too Long\r\nServer: a8sidecar\r\nA8-Error: BR\r\n\
    Connection: close\r\nContent-Length: 0\r\n\r\n";

/// How long a caller may go on sending after its connection has ended.
const LINGER: Duration = Duration::from_secs(2);

/// A caller's stream that tells its connection when bytes move.
pub(in crate::proxy) struct Watched {
    /// There until it is dropped.
    stream: Option<TokioIo<Transport>>,
    /// What was read to find out the protocol, to be read again.
    seen: Bytes,
    // A stream that is upgraded must be able to change threads, by its type. It never does:
    // everything of a connection runs on the thread that accepted it.
    worker: SendWrapper<Rc<Worker>>,
    connection: SendWrapper<Rc<Connection>>,
}

impl Watched {
    /// The stream of `connection`, of which `seen` has been read.
    pub(super) fn new(
        stream: Transport,
        seen: Bytes,
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
    ) -> Self {
        Self {
            stream: Some(TokioIo::new(stream)),
            seen,
            worker: SendWrapper::new(worker.clone()),
            connection: SendWrapper::new(connection.clone()),
        }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TokioIo<Transport>>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Reads what is part of a head, and keeps it to be looked at: what HTTP's parser makes
    /// of a head no longer shows all that stood there.
    fn poll_read_head(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.seen.is_empty() {
            let len = self.seen.len().min(buf.remaining());
            buf.put_slice(&self.seen[..len]);
            let kept = self.connection.keep(&self.seen[..len]);
            self.seen.advance(len);
            return Poll::Ready(kept.map_err(io::Error::other));
        }
        let worker = self.worker.clone();
        let mut scratch = worker.connections.scratch();
        let room = scratch.len().min(buf.remaining());
        let mut read = ReadBuf::new(&mut scratch[..room]);
        ready!(Pin::new(self.stream()?.inner_mut()).poll_read(cx, &mut read))?;
        self.connection.read();
        if let Err(e) = self.connection.keep(read.filled()) {
            // HTTP's parser would wait for the end of the line. There is no response under
            // way; if this one does not fit into the socket, nobody is reading it.
            let _ = Pin::new(self.stream()?.inner_mut()).poll_write(cx, URI_TOO_LONG);
            worker.shared.metrics.unreadable();
            return Poll::Ready(Err(io::Error::other(e)));
        }
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.awaits_head() || !self.seen.is_empty() {
            return self.poll_read_head(cx, &mut buf);
        }
        let read = self.stream()?.poll_read(cx, buf);
        if read.is_ready() {
            self.connection.read();
        }
        read
    }
}

impl Write for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(cx, buf);
        self.connection.written(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(Write::is_write_vectored)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write_vectored(cx, bufs);
        self.connection.written(written.is_ready());
        written
    }
}

impl Side for TokioIo<Watched> {
    fn break_off(&mut self) {
        // Without a stream there is nothing to linger for.
        if let Some(stream) = &mut self.inner_mut().stream.take() {
            stream.inner_mut().break_off();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.connection.is_broken_off() {
            // Any other end would make a whole response of what came of it.
            if let Some(stream) = &mut self.stream {
                stream.inner_mut().break_off();
            }
            return;
        }
        if let Some(stream) = self.stream.take() {
            let connection = self.connection.clone();
            self.worker.drive(async move {
                linger(stream.into_inner()).await;
                // Until here it counts: for the bound of connections, and for a drain, which
                // would otherwise cost the caller what it has not read yet.
                drop(connection);
            });
        }
    }
}

/// Ends a stream for good. What its peer still sends is read for a while: to close the socket
/// upon it would be told to the peer as an error, and could cost it our last response
/// (RFC 9112, 9.6).
async fn linger(mut stream: Transport) {
    let end = async {
        // It may have been said already, or be of no interest any more.
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    };
    let _ = timeout(LINGER, end).await;
}
