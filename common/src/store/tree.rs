//! The content of a store at one revision: entries and leases.
//!
//! Cloning is cheap, the maps share their nodes; so a store can try a transaction on a copy
//! and throw the copy away. Knows neither time nor disk.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use smallvec::SmallVec;

use super::Range;
use super::error::CommitError;
use super::transaction::{Batch, Compare, Entry, Event, Key, LeaseId, Op, Transaction};
use crate::model::Revision;

#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) revision: Revision,
    pub(super) entries: OrdMap<Key, Arc<Entry>>,
    pub(super) leases: OrdMap<LeaseId, Lease>,
}

#[derive(Clone)]
pub(super) struct Lease {
    pub(super) ttl: Duration,
    /// The keys attached to it; nearly always one.
    keys: SmallVec<[Key; 1]>,
}

impl Tree {
    /// Puts a tree together from what a durable store kept.
    pub(super) fn restore(
        revision: Revision,
        leases: impl IntoIterator<Item = (LeaseId, Duration)>,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Self {
        let mut tree = Self {
            revision,
            ..Self::default()
        };
        for (id, ttl) in leases {
            tree.grant(id, ttl);
        }
        for entry in entries {
            tree.attach(&entry);
            tree.entries.insert(entry.key.clone(), Arc::new(entry));
        }
        tree
    }

    pub(super) fn range(&self, prefix: &str) -> Range {
        Range {
            revision: self.revision,
            entries: self.below(prefix),
        }
    }

    fn below(&self, prefix: &str) -> Vec<Arc<Entry>> {
        self.entries
            .range::<_, str>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, entry)| entry.clone())
            .collect()
    }

    pub(super) fn grant(&mut self, id: LeaseId, ttl: Duration) {
        let keys = SmallVec::new();
        self.leases.insert(id, Lease { ttl, keys });
    }

    /// Applies all of `transaction` or nothing; `None` when there was nothing to change.
    pub(super) fn commit(
        &mut self,
        transaction: &Transaction,
    ) -> Result<Option<Arc<Batch>>, CommitError> {
        transaction.check()?;
        for (index, compare) in transaction.compares.iter().enumerate() {
            if !self.holds(compare) {
                return Err(CommitError::Compare { index });
            }
        }
        for op in &transaction.ops {
            if let Op::Put {
                lease: Some(id), ..
            } = op
                && !self.leases.contains_key(id)
            {
                return Err(CommitError::UnknownLease(*id));
            }
        }
        let revision = Revision(self.revision.0 + 1);
        let mut events = Vec::with_capacity(transaction.ops.len());
        for op in &transaction.ops {
            match op {
                Op::Put { key, value, lease } => {
                    let before = self.entries.get(key);
                    let entry = Arc::new(Entry {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: before.map_or(revision, |b| b.create_revision),
                        mod_revision: revision,
                        lease: *lease,
                    });
                    self.insert(entry.clone());
                    events.push(Event::Put(entry));
                }
                Op::Delete(key) => events.extend(self.remove(key)),
                Op::DeletePrefix(prefix) => {
                    for entry in self.below(prefix) {
                        events.extend(self.remove(&entry.key));
                    }
                }
            }
        }
        Ok(self.advance(revision, events))
    }

    /// Ends a lease. `None` when it is not there; no batch when no key was attached to it.
    pub(super) fn end(&mut self, id: LeaseId) -> Option<Option<Arc<Batch>>> {
        let lease = self.leases.remove(&id)?;
        let gone = |key: &Key| self.entries.remove(key).map(|_| Event::Delete(key.clone()));
        let events = lease.keys.iter().filter_map(gone).collect();
        Some(self.advance(Revision(self.revision.0 + 1), events))
    }

    fn advance(&mut self, revision: Revision, events: Vec<Event>) -> Option<Arc<Batch>> {
        if events.is_empty() {
            return None;
        }
        self.revision = revision;
        Some(Arc::new(Batch { revision, events }))
    }

    fn holds(&self, compare: &Compare) -> bool {
        match compare {
            Compare::Exists(key) => self.entries.contains_key(key),
            Compare::Absent(key) => !self.entries.contains_key(key),
            Compare::ModRevision(key, revision) => {
                let now = self
                    .entries
                    .get(key)
                    .map_or(Revision(0), |e| e.mod_revision);
                now == *revision
            }
            Compare::Lease(key, lease) => self.entries.get(key).is_some_and(|e| e.lease == *lease),
        }
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        let before = self.entries.insert(entry.key.clone(), entry.clone());
        let before = before.and_then(|b| b.lease);
        if before != entry.lease {
            self.detach(before, &entry.key);
            self.attach(&entry);
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Event> {
        let entry = self.entries.remove(key)?;
        self.detach(entry.lease, key);
        Some(Event::Delete(entry.key.clone()))
    }

    fn attach(&mut self, entry: &Entry) {
        if let Some(lease) = entry.lease.and_then(|id| self.leases.get_mut(&id)) {
            lease.keys.push(entry.key.clone());
        }
    }

    fn detach(&mut self, lease: Option<LeaseId>, key: &Key) {
        if let Some(lease) = lease.and_then(|id| self.leases.get_mut(&id)) {
            lease.keys.retain(|k| k != key);
        }
    }
}
