//! When a stream ends although there would be more to tell.

use std::time::SystemTime;

use tokio::time::{Instant, sleep_until};

use crate::task::Stop;

/// When a watch ends at the latest: with the server, or with the leave of who watches.
#[derive(Debug, Clone)]
pub struct End {
    stop: Stop,
    at: Option<Instant>,
}

impl End {
    /// With `stop`, or at `expires` if that comes first.
    pub fn new(stop: Stop, expires: Option<SystemTime>) -> Self {
        let left = expires.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
        let at = left.and_then(|left| Instant::now().checked_add(left));
        Self { stop, at }
    }

    /// Waits for it. Cancel-safe.
    pub(super) async fn wait(&self) {
        match self.at {
            Some(at) => drop(self.stop.race(sleep_until(at)).await),
            None => self.stop.wait().await,
        }
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> Self {
        Self { stop, at: None }
    }
}
