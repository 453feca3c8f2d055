//! A service that goes up and down all the time is better down.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Failures are remembered so long.
const MEMORY: Duration = Duration::from_secs(600);
/// The most successes in a row that are asked for.
const MOST: usize = 5;

/// Whether a check is believed: at once when it fails, and when it holds as many times in a row
/// as it has lately taken the service out.
#[derive(Debug, Default)]
pub(super) struct Damper {
    up: bool,
    /// Successes since the last failure.
    row: usize,
    /// When it went from up to down, lately.
    falls: VecDeque<Instant>,
}

impl Damper {
    /// Takes in how an attempt ended; whether the check counts as up.
    pub(super) fn is_up(&mut self, held: bool) -> bool {
        let now = Instant::now();
        while self.falls.front().is_some_and(|at| now - *at > MEMORY) {
            self.falls.pop_front();
        }
        match held {
            true => self.row += 1,
            false => self.row = 0,
        }
        if self.up && !held {
            self.falls.push_back(now);
            if self.falls.len() > MOST {
                self.falls.pop_front();
            }
        }
        self.up = held && (self.up || self.row >= self.falls.len().clamp(1, MOST));
        self.up
    }
}
