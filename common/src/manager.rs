//! What this process and the service manager that started it, systemd or one that behaves like
//! it, say to each other. Without one nothing here does anything.
//!
//! | the manager gives | and we |
//! |---|---|
//! | `NOTIFY_SOCKET` | say when we are ready, and when we stop: sd_notify(3) |
//! | `WATCHDOG_USEC` | say that we live, twice in that time: sd_watchdog_enabled(3) |
//! | `LISTEN_FDS` | listen on its sockets in place of our own: sd_listen_fds(3) |
//!
//! Called by [`run`](crate::run) at the start and the stop, by whoever knows when a process is
//! ready, and by all that listen.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::task::Tasks;

mod notify;
mod sockets;

pub use sockets::{tcp, udp};

/// The variables by which a manager speaks to the process that it started, and to no child of
/// that one. Who starts a child takes them away.
pub const VARIABLES: [&str; 6] = [
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Takes over the sockets that were given. To be called once, before there is a second thread:
/// it reads and changes the environment.
pub(crate) fn begin() {
    sockets::take_over();
}

/// Says that the process does what it was started for, and from now on that it lives, as one of
/// `tasks`. Sockets that nobody listens on are named in the log and closed.
pub fn ready(tasks: &Tasks) {
    sockets::close_unused();
    say(&[NotifyState::Ready]);
    let Some(timeout) = sd_notify::watchdog_enabled() else {
        return;
    };
    let stop = tasks.stop().clone();
    tasks.spawn("watchdog", async move {
        let mut ticks = interval((timeout / 2).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.race(ticks.tick()).await.is_some() {
            say(&[NotifyState::Watchdog]);
        }
    });
}

/// Says that the process has begun to stop.
pub(crate) fn stopping() {
    say(&[NotifyState::Stopping]);
}

fn say(state: &[NotifyState<'_>]) {
    match notify::send(state) {
        Ok(()) => debug!(?state, "told the service manager"),
        Err(e) => warn!(error = %e, "the service manager cannot be told"),
    }
}
