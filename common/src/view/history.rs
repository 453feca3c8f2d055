//! The latest changes of a view, bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Change;
use crate::model::{Epoch, Revision};

/// How many changes are kept for readers that come back.
const MAX_CHANGES: usize = 4096;
/// How many items the kept changes may hold together; one huge change may exceed it alone.
const MAX_ITEMS: usize = 32_768;

pub(super) struct History<T> {
    /// The life of the data that the changes belong to.
    epoch: Option<Epoch>,
    /// Changes after this revision are kept.
    floor: Revision,
    changes: VecDeque<Arc<Change<T>>>,
    items: usize,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            epoch: None,
            floor: Revision(0),
            changes: VecDeque::new(),
            items: 0,
        }
    }
}

impl<T> History<T> {
    /// Forgets everything; the state at `revision` of `epoch` is the new beginning.
    pub(super) fn restart(&mut self, epoch: Epoch, revision: Revision) {
        *self = Self {
            epoch: Some(epoch),
            floor: revision,
            ..Self::default()
        };
    }

    pub(super) fn push(&mut self, change: Arc<Change<T>>) {
        self.items += size(&change);
        self.changes.push_back(change);
        while self.changes.len() > 1 && (self.changes.len() > MAX_CHANGES || self.items > MAX_ITEMS)
        {
            if let Some(oldest) = self.changes.pop_front() {
                self.items -= size(&oldest);
                self.floor = oldest.revision;
            }
        }
    }

    /// The first change after `revision` of `epoch`; `Err` when it is not, or no longer, kept.
    pub(super) fn after(
        &self,
        epoch: &Epoch,
        revision: Revision,
    ) -> Result<Option<Arc<Change<T>>>, Forgotten> {
        if self.epoch.as_ref() != Some(epoch) || revision < self.floor {
            return Err(Forgotten);
        }
        let at = self.changes.partition_point(|c| c.revision <= revision);
        Ok(self.changes.get(at).cloned())
    }
}

/// The change asked for is no longer kept.
pub(super) struct Forgotten;

fn size<T>(change: &Change<T>) -> usize {
    change.upserts.len() + change.removes.len()
}
