//! A revisioned set of items: one writer, many readers.
//!
//! What every source publishes and every consumer reads. A server fills a view from its
//! store and fans it out to its watchers; a sidecar fills one from a server (or from files,
//! or from Kubernetes) and compiles routes from it. The whole state is always at hand, and
//! the latest changes are kept so that a reader can go on where it was.
//!
//! Memory is bounded on this side: readers hold no queue. One that falls behind the kept
//! history is handed the whole state again.

mod history;
mod subscription;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imbl::OrdMap;
use serde::Serialize;
use tokio::sync::watch;
use tracing::warn;

use crate::model::{Epoch, Revision};
use history::History;

pub use subscription::{Subscription, Update};

/// Something that a view holds.
pub trait Item: PartialEq + Send + Sync + 'static {
    /// What tells it from the others of its namespace.
    type Id: Ord + Clone + fmt::Debug + Send + Sync + 'static;

    /// Its id.
    fn id(&self) -> &Self::Id;

    /// About how many bytes it takes: what is kept of the past is bounded by it.
    fn bytes(&self) -> usize;
}

/// The length of an item's JSON form, in bytes: a measure for [`Item::bytes`].
pub(crate) fn json_bytes(item: &impl Serialize) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be written has been counted as far as it could.
    let _ = serde_json::to_writer(&mut count, item);
    count.0
}

/// The state of a view at one revision. Cloning is cheap: the map shares its nodes.
pub struct Snapshot<T: Item> {
    /// The life of the data; `None` until the source has loaded once.
    pub epoch: Option<Epoch>,
    /// The revision of the newest change in `items`.
    pub revision: Revision,
    /// All items by id.
    pub items: OrdMap<T::Id, Arc<T>>,
}

impl<T: Item> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self {
            epoch: self.epoch.clone(),
            revision: self.revision,
            items: self.items.clone(),
        }
    }
}

impl<T: Item> Snapshot<T> {
    /// Whether the source has loaded once.
    pub fn is_loaded(&self) -> bool {
        self.epoch.is_some()
    }
}

/// One transaction: all of it became visible at once.
pub struct Change<T> {
    /// The revision it led to.
    pub revision: Revision,
    /// Items added or replaced.
    pub upserts: Vec<Upsert<T>>,
    /// Items taken away, as they last were.
    pub removes: Vec<Arc<T>>,
}

/// An item added or replaced.
pub struct Upsert<T> {
    /// The item as it is now.
    pub item: Arc<T>,
    /// What it replaced.
    pub before: Option<Arc<T>>,
}

struct Shared<T: Item> {
    history: Mutex<History<T>>,
}

impl<T: Item> Shared<T> {
    fn history(&self) -> MutexGuard<'_, History<T>> {
        // A panic cannot leave the history half changed: every push is one call.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. Dropping it ends all subscriptions.
pub struct Publisher<T: Item> {
    shared: Arc<Shared<T>>,
    state: watch::Sender<Arc<Snapshot<T>>>,
}

/// The reading end; clone it freely.
pub struct View<T: Item> {
    shared: Arc<Shared<T>>,
    state: watch::Receiver<Arc<Snapshot<T>>>,
}

impl<T: Item> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            state: self.state.clone(),
        }
    }
}

/// Makes an empty, not yet loaded view.
pub fn channel<T: Item>() -> (Publisher<T>, View<T>) {
    let empty = Snapshot {
        epoch: None,
        revision: Revision(0),
        items: OrdMap::new(),
    };
    let shared = Arc::new(Shared {
        history: Mutex::new(History::default()),
    });
    let (tx, rx) = watch::channel(Arc::new(empty));
    (
        Publisher {
            shared: shared.clone(),
            state: tx,
        },
        View { shared, state: rx },
    )
}

impl<T: Item> Publisher<T> {
    /// Replaces the whole state.
    ///
    /// Within the same epoch this is published as the difference to what was there, as one
    /// change, so that readers need not start over; those who were told of a revision between
    /// the two by another view, and all readers with another epoch, get the whole.
    /// A revision names one content: other content under the revision that is there already
    /// is a fault of the source, logged and not published.
    pub fn replace(&self, epoch: &Epoch, revision: Revision, items: Vec<Arc<T>>) {
        let now = self.state.borrow().clone();
        let items: OrdMap<_, _> = items.into_iter().map(|i| (i.id().clone(), i)).collect();
        if now.epoch.as_ref() != Some(epoch) || revision < now.revision {
            let next = Snapshot {
                epoch: Some(epoch.clone()),
                revision,
                items,
            };
            let mut history = self.shared.history();
            history.restart(epoch.clone(), revision);
            self.state.send_replace(Arc::new(next));
            return;
        }
        let removes: Vec<T::Id> = now
            .items
            .keys()
            .filter(|id| !items.contains_key(*id))
            .cloned()
            .collect();
        let upserts: Vec<Arc<T>> = items
            .values()
            .filter(|item| now.items.get(item.id()).is_none_or(|old| old != *item))
            .cloned()
            .collect();
        if revision == now.revision {
            if !(upserts.is_empty() && removes.is_empty()) {
                warn!(
                    %epoch, %revision, changed = upserts.len() + removes.len(),
                    "the source tells other content under the same revision; what it told first stays"
                );
            }
            return;
        }
        self.push(revision, upserts, &removes, true);
    }

    /// Publishes one transaction. Ids that are not there are passed over.
    ///
    /// A revision at or below the current one is ignored: that change is already in.
    pub fn apply(&self, revision: Revision, upserts: Vec<Arc<T>>, removes: &[T::Id]) {
        let now = self.state.borrow();
        if revision <= now.revision && now.is_loaded() {
            return;
        }
        drop(now);
        self.push(revision, upserts, removes, false);
    }

    fn push(&self, revision: Revision, upserts: Vec<Arc<T>>, removes: &[T::Id], leap: bool) {
        let now = self.state.borrow().clone();
        let mut next = Snapshot::clone(&now);
        next.revision = revision;
        let removes: Vec<Arc<T>> = removes
            .iter()
            .filter_map(|id| next.items.remove(id))
            .collect();
        let upserts: Vec<Upsert<T>> = upserts
            .into_iter()
            .map(|item| Upsert {
                before: next.items.insert(item.id().clone(), item.clone()),
                item,
            })
            .collect();
        let mut history = self.shared.history();
        let change = Arc::new(Change {
            revision,
            upserts,
            removes,
        });
        history.push(change, leap);
        self.state.send_replace(Arc::new(next));
    }

    /// A way to give it a first state until it loads one itself.
    pub fn preload(&self) -> Preload<T> {
        Preload {
            shared: self.shared.clone(),
            state: self.state.clone(),
        }
    }

    /// How many reading ends there are.
    pub fn readers(&self) -> usize {
        self.state.receiver_count()
    }

    /// A reading end.
    pub fn view(&self) -> View<T> {
        View {
            shared: self.shared.clone(),
            state: self.state.subscribe(),
        }
    }
}

/// Gives a view a first state, from before its source has loaded one. The view does not end
/// while this is held.
pub struct Preload<T: Item> {
    shared: Arc<Shared<T>>,
    state: watch::Sender<Arc<Snapshot<T>>>,
}

impl<T: Item> Preload<T> {
    /// Publishes `snapshot`, which is loaded, unless the source has been quicker. Whether it
    /// was published.
    pub fn put(self, snapshot: Snapshot<T>) -> bool {
        let Some(epoch) = snapshot.epoch.clone() else {
            return false;
        };
        let mut history = self.shared.history();
        self.state.send_if_modified(|now| {
            let first = !now.is_loaded();
            if first {
                history.restart(epoch, snapshot.revision);
                *now = Arc::new(snapshot);
            }
            first
        })
    }
}

impl<T: Item> View<T> {
    /// The state now.
    pub fn snapshot(&self) -> Arc<Snapshot<T>> {
        self.state.borrow().clone()
    }

    /// Waits until the source has loaded once. `false` when the writer is gone.
    ///
    /// Cancel-safe.
    pub async fn loaded(&mut self) -> bool {
        self.state.wait_for(|s| s.is_loaded()).await.is_ok()
    }

    /// Waits until `revision` is in. `false` when the writer is gone.
    ///
    /// Cancel-safe.
    pub async fn reached(&mut self, revision: Revision) -> bool {
        self.state
            .wait_for(|s| s.is_loaded() && s.revision >= revision)
            .await
            .is_ok()
    }

    /// All updates from now on, beginning with the whole state.
    pub fn subscribe(&self) -> Subscription<T> {
        Subscription::new(self.clone(), None)
    }

    /// The changes after `revision` of `epoch`, where the kept history still has them;
    /// otherwise it begins with the whole state.
    pub fn resume(&self, epoch: &Epoch, revision: Revision) -> Subscription<T> {
        Subscription::new(self.clone(), Some((epoch.clone(), revision)))
    }

    /// As [`resume`](Self::resume), where `revision` is known to be one that this view will
    /// come to: the reader was told of it by another view of the same data, which is ahead.
    pub fn resume_ahead(&self, epoch: &Epoch, revision: Revision) -> Subscription<T> {
        Subscription::ahead(self.clone(), (epoch.clone(), revision))
    }
}

#[cfg(test)]
mod tests;
