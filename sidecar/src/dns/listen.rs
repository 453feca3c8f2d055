//! The sockets: one for datagrams and one for connections at each address, with one port.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use a8_common::manager;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tracing::debug;

/// Room for datagrams that wait, in bytes; the system may allow less.
const RECEIVE_BUFFER: usize = 1 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// How often another free port is tried when the first one is taken for the other protocol.
const ATTEMPTS: usize = 16;

/// Where the server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// From this machine only, by the families that it has. Port 0 is any free one.
    Loopback(u16),
    /// At these addresses.
    At(Vec<SocketAddr>),
}

impl Listen {
    /// Whether what is sent to `address` comes back here.
    pub fn includes(&self, address: SocketAddr) -> bool {
        match self {
            Self::Loopback(port) => address.port() == *port && address.ip().is_loopback(),
            Self::At(all) => all.iter().any(|own| {
                let reached = own.ip() == address.ip()
                    || own.ip().is_unspecified() && address.ip().is_loopback();
                own.port() == address.port() && reached
            }),
        }
    }
}

/// What a port is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        })
    }
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} over {over}, as dns_host and dns_port say")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What it was wanted for.
    pub over: Over,
    /// Why it cannot be had.
    pub source: io::Error,
}

/// The sockets of one address.
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

/// Binds all sockets, but those that the service manager has bound already; where any free port is asked for, all get the same.
///
/// # Errors
/// [`ListenError`] for the first address that cannot be had. Of the loopback, a family that
/// this machine does not have is passed over.
pub(super) fn bind(listen: &Listen) -> Result<Vec<Bound>, ListenError> {
    let any_port = match listen {
        Listen::Loopback(port) => *port == 0,
        Listen::At(all) => all.iter().any(|address| address.port() == 0),
    };
    let mut attempts = if any_port { ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_all(listen) {
            Err(e) if attempts > 0 && e.source.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
}

fn bind_all(listen: &Listen) -> Result<Vec<Bound>, ListenError> {
    let (addresses, all_needed) = match listen {
        Listen::At(all) => (all.clone(), true),
        Listen::Loopback(port) => {
            let ips: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            (ips.map(|ip| SocketAddr::new(ip, *port)).to_vec(), false)
        }
    };
    let mut bound: Vec<Bound> = Vec::new();
    let mut missing = None;
    for mut address in addresses {
        if address.port() == 0
            && let Some(first) = bound.first()
        {
            address.set_port(first.address.port());
        }
        match bind_one(address) {
            Err(e) if !all_needed && no_such_address(&e.source) => {
                debug!(%address, "this machine has no such address");
                missing = Some(e);
            }
            one => bound.push(one?),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

fn bind_one(address: SocketAddr) -> Result<Bound, ListenError> {
    let failed = |over, address| {
        move |source| ListenError {
            address,
            over,
            source,
        }
    };
    let tcp = stream(address).map_err(failed(Over::Tcp, address))?;
    let address = tcp.local_addr().map_err(failed(Over::Tcp, address))?;
    let udp = datagrams(address).map_err(failed(Over::Udp, address))?;
    Ok(Bound { address, udp, tcp })
}

fn stream(address: SocketAddr) -> io::Result<TcpListener> {
    if let Some(given) = manager::tcp(address) {
        return TcpListener::from_std(given);
    }
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    if let Some(given) = manager::udp(address) {
        return UdpSocket::from_std(given);
    }
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    // A smaller one does as well.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// An IPv6 socket takes IPv6 only: both families can be listed, and do not get in each other's
/// way.
fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn no_such_address(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable | io::ErrorKind::InvalidInput
    ) || e.raw_os_error() == Some(EAFNOSUPPORT)
}

/// The address family does not exist on this machine (Linux).
const EAFNOSUPPORT: i32 = 97;
