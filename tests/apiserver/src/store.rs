//! The objects, and the history of their changes. One counter of revisions for all, as etcd has.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::object;

/// How many changes are remembered. Whoever is further behind than that has to list again.
const HISTORY: usize = 100_000;

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Group and plural of its kind, whatever the version.
    pub(crate) table: Arc<str>,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(table: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self {
            table: table.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// What happened to an object in one revision.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
}

/// A revision that is no longer remembered.
#[derive(Debug)]
pub(crate) struct Compacted;

/// The objects, and the history of their changes.
pub(crate) struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    revision: watch::Sender<u64>,
    /// What happened up to here is forgotten.
    compacted: u64,
}

impl Store {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            revision: watch::channel(1).0,
            compacted: 0,
        }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// Follows the revision.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The oldest revision that one can still go on from.
    pub(crate) fn compacted(&self) -> u64 {
        self.compacted
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.objects.get(key)
    }

    /// Writes an object, and gives it its revision.
    pub(crate) fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        let revision = self.revision() + 1;
        object::set_meta(
            &mut object,
            "resourceVersion",
            Some(revision.to_string().into()),
        );
        let object = Arc::new(object);
        let before = self.objects.insert(key.clone(), object.clone());
        self.remember(Change {
            revision,
            key,
            before,
            after: Some(object.clone()),
        });
        object
    }

    /// Takes an object away. What is returned has the revision of its end.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let gone = self.objects.remove(key)?;
        let revision = self.revision() + 1;
        self.remember(Change {
            revision,
            key: key.clone(),
            before: Some(gone.clone()),
            after: None,
        });
        Some(Arc::new(at(&gone, revision)))
    }

    fn remember(&mut self, change: Change) {
        let revision = change.revision;
        self.history.push_back(change);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.compacted = oldest.revision;
        }
        self.revision.send_replace(revision);
    }

    /// Forgets all that happened until now.
    pub(crate) fn compact(&mut self) {
        self.compacted = self.revision();
        self.history.clear();
    }

    /// Counts on, without any change: what a busy cluster does between two of them.
    pub(crate) fn skip(&mut self, revisions: u64) {
        let revision = self.revision() + revisions;
        self.revision.send_replace(revision);
    }

    /// The objects of a table, or of one namespace of it, in order.
    pub(crate) fn list<'a>(
        &'a self,
        table: &Arc<str>,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> + use<'a> {
        let table = table.clone();
        let from = Key::new(&table, namespace.unwrap_or_default(), "");
        self.objects.range(from..).take_while(move |(key, _)| {
            key.table == table && namespace.is_none_or(|wanted| wanted == key.namespace)
        })
    }

    /// Everything in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.objects
            .keys()
            .filter(|key| key.namespace == namespace)
            .cloned()
            .collect()
    }

    /// The objects of a table, or of one namespace of it, as they were.
    pub(crate) fn list_at(
        &self,
        table: &Arc<str>,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<(Key, Arc<Value>)>, Compacted> {
        let mut objects: BTreeMap<Key, Arc<Value>> = self
            .list(table, namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        if revision < self.compacted {
            return Err(Compacted);
        }
        for change in self.history.iter().rev() {
            if change.revision <= revision {
                break;
            }
            if change.key.table != *table
                || namespace.is_some_and(|wanted| wanted != change.key.namespace)
            {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(change.key.clone(), before.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects.into_iter().collect())
    }

    /// What happened to a table, or to one namespace of it, after a revision.
    pub(crate) fn since(
        &self,
        table: &Arc<str>,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Vec<Change>, Compacted> {
        if revision < self.compacted {
            return Err(Compacted);
        }
        let from = self
            .history
            .partition_point(|change| change.revision <= revision);
        Ok(self
            .history
            .range(from..)
            .filter(|change| {
                change.key.table == *table
                    && namespace.is_none_or(|wanted| wanted == change.key.namespace)
            })
            .cloned()
            .collect())
    }
}

/// An object under another revision: how the real server shows one that is gone.
pub(crate) fn at(object: &Value, revision: u64) -> Value {
    let mut object = object.clone();
    object::set_meta(
        &mut object,
        "resourceVersion",
        Some(revision.to_string().into()),
    );
    object
}
