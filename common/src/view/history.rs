//! The latest changes of a view, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Change, Item};
use crate::model::{Epoch, Revision};

/// How many changes are kept for readers that come back.
const MAX_CHANGES: usize = 4096;
/// How many bytes of items, as JSON, the kept changes may hold together; one huge change may
/// exceed it alone.
const MAX_BYTES: usize = 8 << 20;

pub(super) struct History<T: Item> {
    /// The life of the data that the changes belong to.
    epoch: Option<Epoch>,
    /// How often the data began anew.
    lives: u64,
    /// Changes after this revision are kept.
    floor: Revision,
    changes: VecDeque<Kept<T>>,
    bytes: usize,
}

struct Kept<T: Item> {
    change: Arc<Change<T>>,
    bytes: usize,
    /// Whether it tells the difference between two states, and not every change between them:
    /// then it is only for readers of the first.
    leap: bool,
}

impl<T: Item> Default for History<T> {
    fn default() -> Self {
        Self {
            epoch: None,
            lives: 0,
            floor: Revision(0),
            changes: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T: Item> History<T> {
    /// Forgets everything; the state at `revision` of `epoch` is the new beginning.
    pub(super) fn restart(&mut self, epoch: Epoch, revision: Revision) {
        *self = Self {
            epoch: Some(epoch),
            lives: self.lives + 1,
            floor: revision,
            ..Self::default()
        };
    }

    /// Changes whenever the data begins anew, be it in the same epoch.
    pub(super) fn lives(&self) -> u64 {
        self.lives
    }

    pub(super) fn push(&mut self, change: Arc<Change<T>>, leap: bool) {
        let bytes = size(&change);
        self.bytes += bytes;
        self.changes.push_back(Kept {
            change,
            bytes,
            leap,
        });
        while self.changes.len() > 1 && (self.changes.len() > MAX_CHANGES || self.bytes > MAX_BYTES)
        {
            if let Some(oldest) = self.changes.pop_front() {
                self.bytes -= oldest.bytes;
                self.floor = oldest.change.revision;
            }
        }
    }

    /// The first change after `revision` of `epoch`; `Err` when it is not, or no longer, kept.
    ///
    /// A reader may have been told of `revision` by another view of the same data. Where this
    /// view leapt over it, what changed between the two is not known here.
    pub(super) fn after(
        &self,
        epoch: &Epoch,
        revision: Revision,
    ) -> Result<Option<Arc<Change<T>>>, Forgotten> {
        if self.epoch.as_ref() != Some(epoch) || revision < self.floor {
            return Err(Forgotten);
        }
        let at = self
            .changes
            .partition_point(|kept| kept.change.revision <= revision);
        let Some(kept) = self.changes.get(at) else {
            return Ok(None);
        };
        let before = at.checked_sub(1).and_then(|at| self.changes.get(at));
        let before = before.map_or(self.floor, |kept| kept.change.revision);
        match kept.leap && revision != before {
            true => Err(Forgotten),
            false => Ok(Some(kept.change.clone())),
        }
    }
}

/// The change asked for is not, or no longer, kept.
pub(super) struct Forgotten;

/// What an item replaced was, as a rule, counted when it came.
fn size<T: Item>(change: &Change<T>) -> usize {
    let upserts = change.upserts.iter().map(|upsert| &upsert.item);
    upserts
        .chain(&change.removes)
        .map(|item| item.bytes())
        .sum()
}
