//! Sockets that the service manager has bound. They belong to the process as a whole, as the
//! environment does that tells of them; who is about to listen on an address asks here first.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net;
use std::sync::{Mutex, MutexGuard, PoisonError};

use listenfd::ListenFd;
use socket2::SockRef;
use tracing::{info, warn};

static GIVEN: Mutex<Vec<Given>> = Mutex::new(Vec::new());

/// A socket, bound by somebody else.
enum Given {
    Tcp(SocketAddr, TcpListener),
    Udp(SocketAddr, UdpSocket),
    /// What nobody here can listen on, by what it was: it is closed already, so that no command
    /// inherits it. There is no log yet when it is found.
    Useless(String),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address, _) => write!(f, "{address} (TCP)"),
            Self::Udp(address, _) => write!(f, "{address} (UDP)"),
            Self::Useless(what) => f.write_str(what),
        }
    }
}

/// The listener that was given for `address`, once, not blocking.
pub fn tcp(address: SocketAddr) -> Option<TcpListener> {
    let at = |given: &Given| matches!(given, Given::Tcp(bound, _) if same(*bound, address));
    match take(at)? {
        Given::Tcp(_, listener) => Some(listener),
        Given::Udp(..) | Given::Useless(_) => None,
    }
}

/// The socket for datagrams that was given for `address`, once, not blocking.
pub fn udp(address: SocketAddr) -> Option<UdpSocket> {
    let at = |given: &Given| matches!(given, Given::Udp(bound, _) if same(*bound, address));
    match take(at)? {
        Given::Udp(_, socket) => Some(socket),
        Given::Tcp(..) | Given::Useless(_) => None,
    }
}

/// Whether a socket that is bound to the one address serves who wants the other: managers bind
/// all addresses as `[::]`, for both families.
fn same(bound: SocketAddr, wanted: SocketAddr) -> bool {
    let all = |address: SocketAddr| address.ip().is_unspecified();
    bound.port() == wanted.port()
        && (bound.ip() == wanted.ip() || bound.is_ipv6() && all(bound) && all(wanted))
}

fn take(is: impl Fn(&Given) -> bool) -> Option<Given> {
    let mut all = lock();
    let at = all.iter().position(is)?;
    let given = all.swap_remove(at);
    info!(socket = %given, "listening on a socket of the service manager");
    Some(given)
}

pub(super) fn take_over() {
    let mut all = lock();
    let mut fds = ListenFd::from_env();
    for index in 0..fds.len() {
        all.push(one(&mut fds, index));
    }
}

fn one(fds: &mut ListenFd, index: usize) -> Given {
    if let Ok(Some(socket)) = fds.take_udp_socket(index) {
        return udp_given(socket).unwrap_or_else(|e| Given::Useless(format!("UDP: {e}")));
    }
    if let Ok(Some(listener)) = fds.take_tcp_listener(index) {
        return tcp_given(listener).unwrap_or_else(|e| Given::Useless(format!("TCP: {e}")));
    }
    if let Ok(Some(listener)) = fds.take_unix_listener(index) {
        return Given::Useless(unix(listener.local_addr()));
    }
    if let Ok(Some(socket)) = fds.take_unix_datagram(index) {
        return Given::Useless(unix(socket.local_addr()));
    }
    Given::Useless(close(fds, index))
}

fn udp_given(socket: UdpSocket) -> io::Result<Given> {
    socket.set_nonblocking(true)?;
    Ok(Given::Udp(socket.local_addr()?, socket))
}

fn tcp_given(listener: TcpListener) -> io::Result<Given> {
    if !SockRef::from(&listener).is_listener()? {
        return Err(io::Error::other("it is a connection: Accept=no is needed"));
    }
    listener.set_nonblocking(true)?;
    Ok(Given::Tcp(listener.local_addr()?, listener))
}

fn unix(address: io::Result<net::SocketAddr>) -> String {
    match address {
        Ok(address) => format!("{address:?} (UNIX)"),
        Err(e) => format!("UNIX: {e}"),
    }
}

/// Closes a descriptor of any other kind; what it was.
fn close(fds: &mut ListenFd, index: usize) -> String {
    let Ok(Some(fd)) = fds.take_raw_fd(index) else {
        return format!("number {index}");
    };
    let what = match std::fs::read_link(format!("/proc/self/fd/{fd}")) {
        Ok(target) => format!("{} (descriptor {fd})", target.display()),
        Err(_) => format!("descriptor {fd}"),
    };
    match nix::unistd::close(fd) {
        Ok(()) => what,
        Err(e) => format!("{what}: {e}"),
    }
}

pub(super) fn close_unused() {
    for given in lock().drain(..) {
        warn!(socket = %given, "the service manager gave a socket that no setting names, closed");
    }
}

fn lock() -> MutexGuard<'static, Vec<Given>> {
    GIVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn a_socket_is_known_by_its_address() {
        let same =
            |bound: &str, wanted: &str| same(bound.parse().unwrap(), wanted.parse().unwrap());
        assert!(same("127.0.0.1:6379", "127.0.0.1:6379"));
        assert!(same("[::]:6379", "0.0.0.0:6379"));
        assert!(!same("0.0.0.0:6379", "[::]:6379"));
        assert!(!same("127.0.0.1:6379", "127.0.0.1:6380"));
        assert!(!same("127.0.0.1:6379", "0.0.0.0:6379"));
    }
}
