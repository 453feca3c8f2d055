//! The callers' way in: binding, accepting, and the connections that come of it.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use a8_common::task::Stop;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::connections::Connection;
use super::headers::Caller;
use super::metrics::Gauge;
use super::serve::Serve;
use super::worker::Worker;

/// The most connections of callers that one worker holds.
const MAX_CONNECTIONS: usize = 16_384;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Bounds the head of a request, and what is read ahead of a slow instance.
const MAX_BUFFER: usize = 64 * 1024;
/// Pauses after a failed accept: descriptors do not come back by asking at once.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where the proxy listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// On all addresses, of both families where the system has both.
    Any(u16),
    /// On one address.
    At(SocketAddr),
}

/// Binds one listener for each worker, all to the same port.
///
/// # Errors
/// The address is in use or may not be bound.
pub(super) fn bind(listen: Listen, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut address = match listen {
        Listen::At(address) => address,
        Listen::Any(port) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    };
    // Listeners that share a port would share it with those of a stranger, too, without
    // anybody being told. So the first is bound alone: that fails when the port is taken.
    let alone = match socket(address, false) {
        Err(e) if matches!(listen, Listen::Any(_)) && no_such_family(&e) => {
            address.set_ip(Ipv4Addr::UNSPECIFIED.into());
            socket(address, false)?
        }
        bound => bound?,
    };
    if workers <= 1 {
        return Ok(vec![alone]);
    }
    address = alone.local_addr()?;
    drop(alone);
    (0..workers).map(|_| socket(address, true)).collect()
}

fn no_such_family(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput
    ) || e.raw_os_error() == Some(EAFNOSUPPORT)
}

/// The address family does not exist on this machine (Linux).
const EAFNOSUPPORT: i32 = 97;

fn socket(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until `close` fires.
pub(super) async fn accept(worker: &Rc<Worker>, listener: TcpListener, close: &Stop) {
    let mut closed = pin!(close.wait());
    let mut pause = FIRST_PAUSE;
    loop {
        while worker.connections.len() >= MAX_CONNECTIONS && !close.fired() {
            tokio::select! {
                () = worker.connections.ended.notified() => {}
                () = &mut closed => return,
            }
        }
        let accepted = tokio::select! {
            biased;
            () = &mut closed => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                open(worker, stream, peer);
            }
            // The caller was gone before we looked: nothing to wait for.
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                if pause == FIRST_PAUSE {
                    warn!(error = %e, "connections cannot be accepted");
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = &mut closed => return,
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

fn open(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    if let Err(e) = stream.set_nodelay(true) {
        debug!(%peer, error = %e, "a caller was gone at once");
        return;
    }
    let connection = worker.connections.open();
    worker.drive(converse(worker.clone(), connection, stream, peer));
}

/// Speaks with one caller until either side has had enough.
async fn converse(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let metrics = worker.shared.metrics.clone();
    let _open = Counted::new(&metrics.callers);
    let serve = Rc::new(Serve {
        worker,
        connection: connection.clone(),
        caller: Caller::new(peer.ip()),
    });
    let io = Watched {
        stream: TokioIo::new(stream),
        connection: connection.clone(),
    };
    let mut http = pin!(
        http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(MAX_BUFFER)
            .max_header_size(MAX_BUFFER)
            .serve_connection(io, service_fn(|request| serve.clone().call(request)))
    );
    let mut known = false;
    let mut told = false;
    let ended = poll_fn(|cx| {
        if !known {
            // A task's waker stays the same; one look at it is enough.
            connection.on_wake(cx.waker());
            known = true;
        }
        if connection.expired() {
            return Poll::Ready(Ok(()));
        }
        if !told && connection.closing() {
            http.as_mut().graceful_shutdown();
            told = true;
        }
        http.as_mut().poll(cx)
    })
    .await;
    if let Err(e) = ended {
        debug!(%peer, error = %e, "a caller's connection ended");
    }
}

/// Counts for as long as it lives.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// A caller's socket that tells its connection when bytes come in.
struct Watched {
    stream: TokioIo<TcpStream>,
    connection: Rc<Connection>,
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
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
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}
