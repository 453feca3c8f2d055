//! The shelves of all namespaces, and what fills them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use a8_common::model::{Epoch, Namespace, Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::store::{Batch, Event, Follower, Range};
use prometheus::IntGauge;

use super::{key, read};
use crate::rulebook::{Shelf, ShelfError};

/// Blank shelves that are kept. Where a token names its namespace anybody can think up new
/// ones; shelves that were never written and that nobody uses are given up beyond this.
pub(super) const MAX_BLANK: usize = 1024;

#[derive(Default)]
struct Inner {
    /// `None` until the store has been read once.
    epoch: Option<Epoch>,
    shelves: HashMap<Namespace, Arc<Shelf>>,
    blank: usize,
}

pub(super) struct Shelves {
    inner: RwLock<Inner>,
    /// How many rules there are.
    rules: IntGauge,
}

impl Shelves {
    pub(super) fn new(rules: IntGauge) -> Self {
        Self {
            inner: RwLock::default(),
            rules,
        }
    }

    /// The shelf of `namespace`, made when there is none.
    pub(super) fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, ShelfError> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shelf) = inner.shelves.get(namespace) {
            return Ok(shelf.clone());
        }
        drop(inner);
        self.write().shelf(namespace).ok_or(ShelfError::NotLoaded)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.write().shelves.len()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn shelf(&mut self, namespace: &Namespace) -> Option<Arc<Shelf>> {
        let epoch = self.epoch.as_ref()?;
        if let Some(shelf) = self.shelves.get(namespace) {
            return Some(shelf.clone());
        }
        if self.blank >= MAX_BLANK {
            self.shelves
                .retain(|_, shelf| Arc::strong_count(shelf) > 1 || !shelf.is_idle());
            self.blank = self.shelves.values().filter(|s| s.is_blank()).count();
        }
        let shelf = Arc::new(Shelf::new(namespace.clone(), epoch));
        self.shelves.insert(namespace.clone(), shelf.clone());
        self.blank += 1;
        Some(shelf)
    }
}

/// What one transaction, or the whole store, says of one namespace.
#[derive(Default)]
struct Changes {
    puts: Vec<Arc<Rule>>,
    removes: Vec<RuleId>,
    /// When its marker was last put.
    revision: Revision,
}

/// Brings what the store holds onto the shelves.
pub(super) struct Feeder(pub(super) Arc<Shelves>);

impl Feeder {
    fn count(&self, inner: &Inner) {
        let rules = inner.shelves.values().map(|s| s.snapshot().items.len());
        self.0
            .rules
            .set(i64::try_from(rules.sum::<usize>()).unwrap_or(i64::MAX));
    }
}

impl Follower for Feeder {
    fn load(&mut self, epoch: &Epoch, everything: Range) {
        let mut all: HashMap<Namespace, Changes> = HashMap::new();
        for entry in &everything.entries {
            let Some((namespace, id)) = key::parse(&entry.key) else {
                continue;
            };
            let of = all.entry(namespace).or_default();
            match id {
                Some(_) => of.puts.extend(read(entry).map(Arc::new)),
                None => of.revision = entry.mod_revision,
            }
        }
        let mut inner = self.0.write();
        inner.epoch = Some(epoch.clone());
        for namespace in inner.shelves.keys() {
            all.entry(namespace.clone()).or_default();
        }
        for (namespace, now) in all {
            if let Some(shelf) = inner.shelf(&namespace) {
                shelf.replace(epoch, now.revision, now.puts);
            }
        }
        self.count(&inner);
    }

    fn apply(&mut self, batch: Batch) {
        let mut changes: HashMap<Namespace, Changes> = HashMap::new();
        for event in &batch.events {
            let Some((namespace, id)) = key::parse(event.key()) else {
                continue;
            };
            let of = changes.entry(namespace).or_default();
            match (event, id) {
                (Event::Put(entry), Some(_)) => of.puts.extend(read(entry).map(Arc::new)),
                (Event::Delete(_), Some(id)) => of.removes.push(id),
                (_, None) => {}
            }
        }
        let mut inner = self.0.write();
        for (namespace, change) in changes {
            if let Some(shelf) = inner.shelf(&namespace) {
                let before = shelf.snapshot().items.len();
                shelf.apply(batch.revision, change.puts, &change.removes);
                let after = shelf.snapshot().items.len();
                let [before, after] = [before, after].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
                self.0.rules.add(after - before);
            }
        }
    }
}
