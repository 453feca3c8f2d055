//! Brings the store's content into the rooms.

use std::collections::HashMap;
use std::sync::Arc;

use a8_common::model::{Epoch, Instance, Namespace};
use a8_common::store::{Batch, Entry, Event, Follower, Range};
use tracing::error;

use super::key;
use super::room::Stored;
use super::rooms::{Changes, Rooms};

pub(super) struct Feeder(pub(super) Arc<Rooms>);

impl Follower for Feeder {
    fn load(&mut self, epoch: &Epoch, everything: Range) {
        let mut all: HashMap<Namespace, Vec<Stored>> = HashMap::new();
        for (namespace, stored) in everything.entries.iter().filter_map(|entry| read(entry)) {
            all.entry(namespace).or_default().push(stored);
        }
        self.0.replace(epoch, everything.revision, all);
    }

    fn apply(&mut self, batch: Batch) {
        let mut changes: HashMap<Namespace, Changes> = HashMap::new();
        for event in &batch.events {
            match event {
                Event::Put(entry) => {
                    if let Some((namespace, stored)) = read(entry) {
                        changes.entry(namespace).or_default().puts.push(stored);
                    }
                }
                Event::Delete(key) => {
                    if let Some((namespace, id)) = key::parse(key) {
                        changes.entry(namespace).or_default().deletes.push(id);
                    }
                }
            }
        }
        self.0.apply(batch.revision, changes);
    }
}

/// An entry that cannot be read is passed over: the rest of the catalog is good.
fn read(entry: &Entry) -> Option<(Namespace, Stored)> {
    let (namespace, _) = key::parse(&entry.key)?;
    match serde_json::from_slice::<Instance>(&entry.value) {
        Ok(instance) => Some((
            namespace,
            Stored {
                instance: instance.into(),
                lease: entry.lease,
            },
        )),
        Err(e) => {
            error!(key = %entry.key, error = %e, "an entry of the store is not an instance");
            None
        }
    }
}
