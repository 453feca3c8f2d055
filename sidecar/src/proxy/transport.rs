//! The byte streams below HTTP: sockets, in clear or under TLS, of callers and of instances.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// One stream. The variants are matched on each call: cheaper than a virtual call, and a
/// caller's code stands once.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Up to so many bytes it costs less to bring pieces together than to have the kernel gather
/// them: most heads, and heads with small bodies.
const TOGETHER: usize = 2048;

impl Transport {
    /// The socket at the bottom.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => write_all_of(stream, cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }
}

/// Writes as much of all pieces as the socket takes, in one call.
fn write_all_of(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [one] = bufs {
        return stream.poll_write(cx, one);
    }
    let together: usize = bufs.iter().map(|piece| piece.len()).sum();
    if together > TOGETHER {
        return stream.poll_write_vectored(cx, bufs);
    }
    let mut whole = SmallVec::<[u8; TOGETHER]>::new();
    for piece in bufs {
        whole.extend_from_slice(piece);
    }
    stream.poll_write(cx, &whole)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn pieces_arrive_in_their_order_whatever_their_size() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let (stream, accepted) = tokio::join!(stream, listener.accept());
        let (mut stream, mut peer) = (Transport::Plain(stream.unwrap()), accepted.unwrap().0);
        for sizes in [
            &[5_usize][..],
            &[0, 3, 0],
            &[700, 512],
            &[TOGETHER, 1],
            &[1, 60_000],
        ] {
            let pieces: Vec<Vec<u8>> = (0_u8..)
                .zip(sizes)
                .map(|(at, size)| vec![b'a' + at; *size])
                .collect();
            let slices: Vec<_> = pieces.iter().map(|p| IoSlice::new(p)).collect();
            let whole = pieces.concat();
            let mut written = stream.write_vectored(&slices).await.unwrap();
            if sizes.iter().sum::<usize>() <= TOGETHER {
                assert_eq!(written, whole.len());
            }
            while written < whole.len() {
                written += stream.write(&whole[written..]).await.unwrap();
            }
            let mut got = vec![0; whole.len()];
            peer.read_exact(&mut got).await.unwrap();
            assert!(got == whole, "{sizes:?}");
        }
    }
}
