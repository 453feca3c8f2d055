//! Ports on loopback: the three that a user sees, and free ones for the rest.

use std::net::{Ipv4Addr, TcpListener};

use super::Error;

/// Ports that nobody has to know are looked for from here upwards. It is below the range from
/// which the kernel takes ports for outgoing connections, so that none is taken in between.
const FIRST_ANONYMOUS: u16 = 31400;
const LAST_ANONYMOUS: u16 = 31999;

/// Hands out ports that were free when looked at.
#[derive(Debug)]
pub(super) struct Ports {
    next: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            next: FIRST_ANONYMOUS,
        }
    }
}

impl Ports {
    /// A port nobody listens on, another one each time.
    pub(super) fn any(&mut self) -> Result<u16, Error> {
        let free = (self.next..=LAST_ANONYMOUS).find(|port| is_free(*port));
        let port = free.ok_or(Error::NoPort {
            above: FIRST_ANONYMOUS,
        })?;
        self.next = port + 1;
        Ok(port)
    }
}

/// Refuses a port that something listens on.
///
/// # Errors
/// [`Error::PortInUse`], which names `variable` as the way to choose another.
pub(super) fn require(port: u16, what: &'static str, variable: &'static str) -> Result<u16, Error> {
    if is_free(port) {
        Ok(port)
    } else {
        Err(Error::PortInUse {
            port,
            what,
            variable,
        })
    }
}

/// Any other reason why a port cannot be had is left to the process that needs it, which can
/// say what it is.
fn is_free(port: u16) -> bool {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => true,
        Err(e) => e.kind() != std::io::ErrorKind::AddrInUse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_the_way_out() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refused = require(port, "gateway", "DEMO_GATEWAY_PORT").unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(&format!("port {port} is in use")), "{text}");
        assert!(text.contains("DEMO_GATEWAY_PORT"), "{text}");
    }

    #[test]
    fn no_port_is_handed_out_twice() {
        let mut ports = Ports::default();
        assert_ne!(ports.any().unwrap(), ports.any().unwrap());
    }
}
