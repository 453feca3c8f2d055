//! Ports for processes that have to be told theirs before others are started.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port that may be given out, and how many there are. They lie below those that
/// systems give to outgoing connections, so that none is taken between here and its use.
const FIRST: u16 = 16_000;
const COUNT: u16 = 12_000;

static GIVEN: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on, and that this process has not been given before.
///
/// # Panics
/// When all are in use.
pub fn free() -> u16 {
    // Tests of other processes that run at the same time begin elsewhere.
    let begin = (std::process::id() % 97) as u16 * 100;
    for _ in 0..COUNT {
        let next = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + begin.wrapping_add(next) % COUNT;
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
