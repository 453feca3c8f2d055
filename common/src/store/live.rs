//! What readers of a store in this process see: the tree, the history, the deadlines.
//!
//! Shared by the adapters that hold their state in memory. Who may change it differs: the
//! memory store changes it directly, the embedded one after the change is on disk. The lock
//! is held for one operation at a time and never across an `await`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use super::error::{LeaseError, WatchError};
use super::history::{Forgotten, History};
use super::lease::Deadlines;
use super::transaction::{Batch, Entry, Key, LeaseId};
use super::tree::Tree;
use super::{Range, Watch};
use crate::model::{Epoch, Revision};

pub(super) struct Live {
    pub(super) epoch: Epoch,
    state: Mutex<State>,
    changed: watch::Sender<Revision>,
}

pub(super) struct State {
    pub(super) tree: Tree,
    pub(super) deadlines: Deadlines,
    history: History,
}

impl Live {
    /// Every lease of `tree` begins with its full time.
    pub(super) fn new(epoch: Epoch, tree: Tree) -> Arc<Self> {
        let now = Instant::now();
        let mut deadlines = Deadlines::default();
        for (id, lease) in &tree.leases {
            deadlines.insert(*id, lease.ttl, now);
        }
        let (changed, _) = watch::channel(tree.revision);
        let history = History::after(tree.revision);
        Arc::new(Self {
            epoch,
            state: Mutex::new(State {
                tree,
                deadlines,
                history,
            }),
            changed,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half changed in a way that matters more than going on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.state().tree.entries.get(key).cloned()
    }

    pub(super) fn range(&self, prefix: &str) -> Range {
        // The clone is cheap; the walk happens without the lock.
        let tree = self.state().tree.clone();
        tree.range(prefix)
    }

    pub(super) fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        let now = Instant::now();
        let alive = self.state().deadlines.keep_alive(lease, now);
        alive.then_some(()).ok_or(LeaseError::Unknown(lease))
    }

    /// Tells watchers that the history has grown. Called without the lock.
    pub(super) fn announce(&self, revision: Revision) {
        self.changed
            .send_if_modified(|now| std::mem::replace(now, revision.max(*now)) < revision);
    }

    pub(super) fn watch(
        self: &Arc<Self>,
        prefix: &str,
        after: Revision,
    ) -> Result<Watch, WatchError> {
        let mut cursor = Cursor {
            changed: self.changed.subscribe(),
            live: self.clone(),
            prefix: prefix.into(),
            at: after,
        };
        // A revision from the future is from another life of the data.
        if after > self.state().tree.revision {
            return Err(WatchError::Compacted { after });
        }
        let first = cursor.ready()?;
        let rest = stream::unfold(Some(cursor), |cursor| async {
            let mut cursor = cursor?;
            match cursor.next().await {
                Ok(batch) => Some((Ok(batch), Some(cursor))),
                Err(e) => Some((Err(e), None)),
            }
        });
        Ok(stream::iter(first.map(Ok)).chain(rest).boxed())
    }
}

impl State {
    /// Adds a lease to the tree and starts its time.
    pub(super) fn grant(&mut self, id: LeaseId, ttl: Duration) {
        self.tree.grant(id, ttl);
        self.deadlines.insert(id, ttl, Instant::now());
    }

    /// Gives every lease its full time again, after the owner of the leases was absent.
    pub(super) fn spare_all(&mut self, absence: Duration) {
        warn!(
            ?absence,
            "this process was absent, every lease gets its full time again"
        );
        self.deadlines.spare_all(Instant::now());
    }

    /// Keeps a transaction for watchers.
    pub(super) fn record(&mut self, batch: Arc<Batch>) {
        self.history.push(batch);
    }
}

/// One watcher's place in the history.
struct Cursor {
    live: Arc<Live>,
    prefix: Key,
    at: Revision,
    changed: watch::Receiver<Revision>,
}

impl Cursor {
    /// The next batch if there is one now.
    fn ready(&mut self) -> Result<Option<Batch>, WatchError> {
        let state = self.live.state();
        let next = state.history.next(&self.prefix, self.at);
        let newest = state.tree.revision;
        drop(state);
        match next {
            Ok(Some(batch)) => {
                self.at = batch.revision;
                Ok(Some(batch))
            }
            Ok(None) => {
                // What was passed over concerns other prefixes and need not be kept for us.
                self.at = newest;
                Ok(None)
            }
            Err(Forgotten) => Err(WatchError::Compacted { after: self.at }),
        }
    }

    async fn next(&mut self) -> Result<Batch, WatchError> {
        loop {
            // Marked as seen before the history is read: what comes later wakes us again.
            self.changed.mark_unchanged();
            if let Some(batch) = self.ready()? {
                return Ok(batch);
            }
            // Cannot fail: `live` holds the sender.
            let _ = self.changed.changed().await;
        }
    }
}
