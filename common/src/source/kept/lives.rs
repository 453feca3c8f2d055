//! Which life of the data the file is of.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Epoch;

/// Knows since when the data is of another epoch than what is kept.
pub(super) struct Lives {
    kept: Option<Epoch>,
    another: Option<(Epoch, Instant)>,
}

impl Lives {
    /// What is kept is of the epoch `kept`.
    pub(super) fn new(kept: Option<Epoch>) -> Self {
        Self {
            kept,
            another: None,
        }
    }

    /// Until when the state of `epoch` is not to be written, if not at once: for `grace` after
    /// it was first seen, where what is kept is of another one.
    pub(super) fn put_off(&mut self, epoch: &Epoch, grace: Duration) -> Option<Instant> {
        let now = Instant::now();
        let since = match &self.another {
            Some((another, since)) if another == epoch => *since,
            _ => now,
        };
        let same = self.kept.as_ref().is_none_or(|kept| kept == epoch);
        if same || since + grace <= now {
            self.kept = Some(epoch.clone());
            self.another = None;
            return None;
        }
        self.another = Some((epoch.clone(), since));
        Some(since + grace)
    }
}
