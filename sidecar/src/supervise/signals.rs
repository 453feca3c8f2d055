//! The signals that are passed on to supervised processes.

use std::io;

use futures_util::FutureExt;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// Those that mean the application and not the sidecar.
pub(super) struct Forwarded {
    hangup: unix::Signal,
    user1: unix::Signal,
    user2: unix::Signal,
    window: unix::Signal,
}

impl Forwarded {
    /// Takes them from the system: from now on they do not end this process.
    ///
    /// # Errors
    /// One of them cannot be listened for.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            window: signal(SignalKind::window_change())?,
        })
    }

    /// The next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.user1.recv() => Signal::USR1,
            _ = self.user2.recv() => Signal::USR2,
            _ = self.window.recv() => Signal::WINCH,
        }
    }
}

/// Knows whether the sidecar is told to stop by SIGINT, SIGQUIT or SIGTERM, so that the
/// applications are told the same.
pub struct Interrupts {
    interrupt: unix::Signal,
    quit: unix::Signal,
}

impl Interrupts {
    /// Listens, beside whoever does.
    ///
    /// # Errors
    /// One of them cannot be listened for.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// SIGINT or SIGQUIT if there was one since the last call, otherwise SIGTERM.
    pub fn stopping(&mut self) -> Signal {
        let came = |signal: &mut unix::Signal| signal.recv().now_or_never().flatten().is_some();
        match (came(&mut self.interrupt), came(&mut self.quit)) {
            (true, _) => Signal::INT,
            (false, true) => Signal::QUIT,
            (false, false) => Signal::TERM,
        }
    }
}
