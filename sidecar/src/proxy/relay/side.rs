//! What bytes can be relayed between.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::proxy::transport::Transport;

/// The stream of one side.
pub(in crate::proxy) trait Side: AsyncRead + AsyncWrite + Unpin {
    /// Has its end, when it is dropped, told to its peer as a reset. One that is gone already
    /// cannot be reset and need not be.
    fn break_off(&mut self);
}

impl Side for TcpStream {
    fn break_off(&mut self) {
        let _ = self.set_zero_linger();
    }
}

impl Side for Transport {
    fn break_off(&mut self) {
        let _ = self.socket().set_zero_linger();
    }
}

/// A stream of which something has been read already.
pub(in crate::proxy) struct Ahead<S> {
    read: Bytes,
    stream: S,
}

impl<S> Ahead<S> {
    /// `stream`, of which `read` was read.
    pub(in crate::proxy) fn new(read: Bytes, stream: S) -> Self {
        Self { read, stream }
    }
}

impl<S: Side> AsyncRead for Ahead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..len]);
        self.read.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: Side> AsyncWrite for Ahead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Side> Side for Ahead<S> {
    fn break_off(&mut self) {
        self.stream.break_off();
    }
}
