//! When to doubt that nobody is ready.
//!
//! While the API server is away nodes cannot report. Once it is back, the cluster takes those
//! that are late for lost, and says of all of their pods that they are not ready, until the
//! nodes have reported: of every pod, that is, although none of them is any worse.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// An outage that is shorter makes no node late: by default they have 50 s, and had 40 s.
const LONG: Duration = Duration::from_secs(20);
/// For how long after a long one it is doubted. Nodes were seen to take 90 s.
const DOUBT: Duration = Duration::from_secs(120);

/// What is known of outages of the API server.
#[derive(Default)]
pub(super) struct Outage {
    /// Since when it is away.
    since: Option<Instant>,
    /// Until when it is doubted, after one.
    until: Option<Instant>,
}

impl Outage {
    /// Notes whether the API server is there now. Returns whether it is to be doubted.
    pub(super) fn note(&mut self, is_there: bool) -> bool {
        let now = Instant::now();
        if !is_there {
            self.since.get_or_insert(now);
        } else if let Some(since) = self.since.take()
            && now.duration_since(since) >= LONG
        {
            self.until = Some(now + DOUBT);
        }
        self.until.is_some_and(|until| now < until)
    }

    /// Waits until it is no longer doubted; for ever where it is not. Cancel-safe.
    pub(super) async fn over(&mut self) {
        match self.until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
        self.until = None;
    }
}
