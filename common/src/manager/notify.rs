//! The way to the service manager. `NOTIFY_SOCKET` is a file, which `sd-notify` knows, or `@` and
//! a name in the abstract namespace of unix(7), which it does not.

use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

use crate::config::Input;

/// Sends `state`; does nothing where nobody wants to know.
pub(super) fn send(state: &[NotifyState<'_>]) -> io::Result<()> {
    let environment = Input::from_process();
    let socket = environment.variable("NOTIFY_SOCKET");
    match socket.and_then(|socket| socket.strip_prefix('@')) {
        Some(name) => send_abstract(name, state),
        None => sd_notify::notify(state),
    }
}

fn send_abstract(name: &str, state: &[NotifyState<'_>]) -> io::Result<()> {
    let mut message = String::new();
    for line in state {
        // Writing to a String does not fail.
        let _ = writeln!(message, "{line}");
    }
    let address = SocketAddr::from_abstract_name(name)?;
    // A datagram is sent as a whole or not at all.
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_abstract_namespace_is_no_file() {
        let name = format!("a8-notify-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        send_abstract(&name, &[NotifyState::Ready, NotifyState::Stopping]).unwrap();
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1\nSTOPPING=1\n");
    }
}
