//! How long to wait before the next attempt.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);
/// What an API server that is busy may ask for at most.
const MOST_ASKED_FOR: Duration = Duration::from_secs(60);

/// Pauses that grow, with jitter, so that many clients do not come back all at once.
pub(super) struct Pauses(ExponentialBackoff);

impl Pauses {
    pub(super) fn new() -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(FIRST)
            .with_max_delay(LONGEST)
            .with_jitter()
            .without_max_times();
        Self(builder.build())
    }

    /// The next one, and no shorter than what the API server asks for.
    pub(super) fn next(&mut self, asked_for: Duration) -> Duration {
        let own = self.0.next().unwrap_or(LONGEST);
        own.max(asked_for.min(MOST_ASKED_FOR))
    }
}
