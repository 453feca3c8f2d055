//! The rooms of all namespaces.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use a8_common::model::{Epoch, Namespace, Revision};
use prometheus::IntGauge;

use super::error::NotLoaded;
use super::room::{Room, Stored};

/// Empty rooms that are kept. Where a token names its namespace anybody can think up new
/// ones; rooms that nobody uses are given up beyond this.
const MAX_IDLE: usize = 1024;

#[derive(Default)]
struct Inner {
    /// How far the feeder is; `None` until the store has been read once.
    head: Option<(Epoch, Revision)>,
    rooms: HashMap<Namespace, Arc<Room>>,
}

pub(super) struct Rooms {
    inner: RwLock<Inner>,
    total: IntGauge,
}

impl Rooms {
    pub(super) fn new(total: IntGauge) -> Self {
        Self {
            inner: RwLock::default(),
            total,
        }
    }

    /// The room of `namespace`, made when there is none.
    pub(super) fn room(&self, namespace: &Namespace) -> Result<Arc<Room>, NotLoaded> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = inner.rooms.get(namespace).filter(|_| inner.head.is_some()) {
            return Ok(room.clone());
        }
        drop(inner);
        self.write().room(namespace).ok_or(NotLoaded)
    }

    /// One transaction of the store: what it did in each namespace.
    pub(super) fn apply(&self, revision: Revision, changes: HashMap<Namespace, Changes>) {
        let mut inner = self.write();
        for (namespace, change) in changes {
            if let Some(room) = inner.room(&namespace) {
                let before = room.len();
                room.apply(revision, change.puts, &change.deletes);
                self.count(before, room.len());
            }
        }
        if let Some(head) = &mut inner.head {
            head.1 = revision;
        }
    }

    /// The whole state of the store. Every namespace is at `revision` then, which no
    /// namespace can have been beyond.
    pub(super) fn replace(
        &self,
        epoch: &Epoch,
        revision: Revision,
        mut all: HashMap<Namespace, Vec<Stored>>,
    ) {
        let mut inner = self.write();
        inner.head = Some((epoch.clone(), revision));
        for namespace in inner.rooms.keys() {
            all.entry(namespace.clone()).or_default();
        }
        for (namespace, stored) in all {
            // A new room is at no revision yet. Made empty at this one, it would take its own
            // content for something it had already.
            let room = inner.rooms.entry(namespace);
            let room = room.or_insert_with(|| Arc::new(Room::new()));
            let before = room.len();
            room.replace(epoch, revision, stored);
            self.count(before, room.len());
        }
    }

    fn count(&self, before: usize, after: usize) {
        let [before, after] = [before, after].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        self.total.add(after - before);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn room(&mut self, namespace: &Namespace) -> Option<Arc<Room>> {
        let (epoch, revision) = self.head.as_ref()?;
        if let Some(room) = self.rooms.get(namespace) {
            return Some(room.clone());
        }
        if self.rooms.len() >= MAX_IDLE {
            self.rooms
                .retain(|_, room| Arc::strong_count(room) > 1 || !room.is_empty());
        }
        let room = Arc::new(Room::new());
        room.replace(epoch, *revision, Vec::new());
        self.rooms.insert(namespace.clone(), room.clone());
        Some(room)
    }
}

/// What one transaction did in one namespace.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) puts: Vec<Stored>,
    pub(super) deletes: Vec<a8_common::model::InstanceId>,
}
