//! The latest transactions, bounded, for watchers to go on from.

use std::collections::VecDeque;
use std::sync::Arc;

use super::transaction::{Batch, Event};
use crate::model::Revision;

/// How many transactions are kept.
const MAX_BATCHES: usize = 8192;
/// How many bytes of keys and values the kept transactions may hold together; one huge
/// transaction may exceed it alone.
const MAX_BYTES: usize = 16 << 20;

pub(super) struct History {
    /// Every change after this revision is kept.
    floor: Revision,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// The changes asked for are not kept.
pub(super) struct Forgotten;

impl History {
    /// An empty one; what happened up to `floor` is forgotten.
    pub(super) fn after(floor: Revision) -> Self {
        Self {
            floor,
            batches: VecDeque::new(),
            bytes: 0,
        }
    }

    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        self.bytes += size(&batch);
        self.batches.push_back(batch);
        while self.batches.len() > 1 && (self.batches.len() > MAX_BATCHES || self.bytes > MAX_BYTES)
        {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= size(&oldest);
                self.floor = oldest.revision;
            }
        }
    }

    /// The first batch after `revision` that has a change below `prefix`, cut down to those
    /// changes.
    pub(super) fn next(
        &self,
        prefix: &str,
        revision: Revision,
    ) -> Result<Option<Batch>, Forgotten> {
        if revision < self.floor {
            return Err(Forgotten);
        }
        let at = self.batches.partition_point(|b| b.revision <= revision);
        let mut later = self.batches.range(at..);
        Ok(later.find_map(|batch| below(prefix, batch)))
    }
}

fn below(prefix: &str, batch: &Batch) -> Option<Batch> {
    let fits = |event: &&Event| event.key().starts_with(prefix);
    let events: Vec<Event> = batch.events.iter().filter(fits).cloned().collect();
    (!events.is_empty()).then_some(Batch {
        revision: batch.revision,
        events,
    })
}

fn size(batch: &Batch) -> usize {
    let of = |event: &Event| match event {
        Event::Put(entry) => entry.key.len() + entry.value.len(),
        Event::Delete(key) => key.len(),
    };
    batch.events.iter().map(of).sum()
}
