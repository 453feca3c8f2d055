//! The callers' way in: binding and accepting.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use a8_common::manager;
use a8_common::task::Stop;
use rustix::process::{Resource, getrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::converse::converse;
use super::worker::Worker;

/// The most connections of callers that one worker holds, however many files may be open.
const MAX_CALLERS: u64 = 16_384;
/// Files that are open beside the connections of callers and those to instances.
const OTHER_FILES: u64 = 32;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
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

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, "port {port}"),
            Self::At(address) => write!(f, "{address}"),
        }
    }
}

/// Binds one listener for each worker, all to the same port. If the service manager has bound
/// it already, all workers accept from its socket.
///
/// # Errors
/// The address is in use or may not be bound.
pub(super) fn bind(listen: Listen, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let mut address = match listen {
        Listen::At(address) => address,
        Listen::Any(port) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    };
    if let Some(given) = manager::tcp(address) {
        let copies = (1..workers).map(|_| given.try_clone());
        let mut all = copies.collect::<io::Result<Vec<_>>>()?;
        all.push(given);
        return Ok(all);
    }
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

/// The most callers of one kind, of HTTP or of `tcp` proxies, that each of the workers has at a
/// time. Each may need a connection to an instance, too: if callers could take all files that
/// the process may open, there would be none left to serve them.
pub(super) fn most_callers(workers: usize, tcp: bool) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let shares = 2 * workers.max(1) as u64 * if tcp { 2 } else { 1 };
    let share = files.saturating_sub(OTHER_FILES) / shares;
    share.clamp(1, MAX_CALLERS) as usize
}

/// Accepts callers that speak HTTP until `close` fires.
pub(super) async fn accept_http(worker: &Rc<Worker>, listener: TcpListener, close: &Stop) {
    let room = async || {
        while worker.connections.len() >= worker.shared.max_callers {
            worker.connections.ended.notified().await;
        }
    };
    let open = |stream, peer| open(worker, stream, peer);
    accept(listener, close, room, open).await;
}

/// Accepts whenever there is `room`, and hands to `open`, until `close` fires.
pub(super) async fn accept(
    listener: TcpListener,
    close: &Stop,
    room: impl AsyncFn(),
    open: impl Fn(TcpStream, SocketAddr),
) {
    let mut closed = pin!(close.wait());
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = async {
            room().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            biased;
            () = &mut closed => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                open(stream, peer);
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
