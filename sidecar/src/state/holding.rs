//! What a new epoch of the instances does not know: a registry that has forgotten everything is
//! told of it again by those that live, which takes a while. The proxy's catalog and the index of
//! the DNS server hold alike.

use std::collections::HashMap;

use a8_common::model::{Epoch, Instance, InstanceId};
use a8_common::view::Snapshot;
use tokio::time::Instant;
use tracing::info;

/// The instances that are known although their source no longer knows them.
#[derive(Debug, Default)]
pub struct Holding {
    epoch: Option<Epoch>,
    until: HashMap<InstanceId, Instant>,
}

impl Holding {
    /// The source knows what is in `snapshot`. Returns those of the `known` that are to be let
    /// go at once: what an epoch that is known no longer has is gone. What another epoch does
    /// not know is held until `until`, or for as long as it was held already.
    pub fn reset<'a>(
        &mut self,
        snapshot: &Snapshot<Instance>,
        known: impl Iterator<Item = &'a InstanceId>,
        until: Instant,
    ) -> Vec<InstanceId> {
        let another = self.epoch.is_some() && self.epoch != snapshot.epoch;
        self.epoch.clone_from(&snapshot.epoch);
        let missing = known.filter(|id| !snapshot.items.contains_key(*id));
        if !another {
            return missing.cloned().collect();
        }
        let before = self.until.len();
        for id in missing {
            self.until.entry(id.clone()).or_insert(until);
        }
        if self.until.len() > before {
            let instances = self.until.len();
            info!(instances, "unknown to a new epoch, held for a while");
        }
        Vec::new()
    }

    /// The source knows this one again, or it is gone for another reason.
    pub fn release(&mut self, id: &InstanceId) {
        self.until.remove(id);
    }

    /// Those that are held no longer.
    pub fn over(&mut self, now: Instant) -> Vec<InstanceId> {
        let over = self.until.extract_if(|_, until| *until <= now);
        over.map(|(id, _)| id).collect()
    }

    /// When the next one is let go.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.until.values().min().copied()
    }

    /// How many are held.
    pub fn count(&self) -> usize {
        self.until.len()
    }
}
