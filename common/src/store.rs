//! The port `Store`: a small versioned key-value store, and its adapters.
//!
//! The catalog of instances and the book of rules are each written once over this port;
//! memory, a local file and etcd differ only below it. What the port promises:
//!
//! - **One revision for the whole store.** Every transaction that changes something makes it
//!   grow by one. A transaction that changes nothing leaves it as it is.
//! - **A transaction is atomic**: its compares and its operations happen at one point in the
//!   history, it becomes visible at once, and it is one [`Batch`] of every watcher.
//! - **A lease owns keys.** When it ends, by revocation or because nobody kept it alive for
//!   its time to live, the keys attached to it are deleted in one transaction. Keeping a
//!   lease alive is no write: it makes no revision and no event.
//! - **Nobody is expired for the store's own absence.** A store that was stopped, suspended or
//!   restarted gives every lease its full time once more.
//! - **Memory is bounded.** A watcher holds no queue; one that falls behind the kept history
//!   is told so and lists again.
//!
//! All methods are cancel-safe in this sense: a dropped future leaves either all of the
//! operation done or none of it.

mod embedded;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod follow;
mod history;
mod lease;
mod live;
mod memory;
mod open;
mod transaction;
mod tree;

#[cfg(test)]
mod conformance;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::model::{Epoch, Revision};

pub use embedded::Embedded;
pub use error::{CommitError, LeaseError, RefusedTransaction, Unavailable, WatchError};
#[cfg(feature = "etcd")]
pub use etcd::Etcd;
pub use follow::{Follower, serve_from};
pub use memory::Memory;
pub use open::etcd::{Config as EtcdConfig, Names as EtcdNames, Tls as EtcdTls};
pub use open::{Config, DATA_DIR, Names, OpenError, open};
pub use transaction::{Batch, Compare, Entry, Event, Key, LeaseId, Op, Transaction};

/// All entries below a prefix, as they were at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The store's revision. A [watch](Store::watch) after it misses nothing.
    pub revision: Revision,
    /// The entries in the order of their keys.
    pub entries: Vec<Arc<Entry>>,
}

/// The batches that a watcher is told, in order, each once. Ends after its first error.
pub type Watch = BoxStream<'static, Result<Batch, WatchError>>;

/// A versioned key-value store with leases and watches.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Names this life of the data: fresh at each start of a store in memory, fixed for a
    /// durable one.
    ///
    /// # Errors
    /// [`Unavailable`] as long as the store has not been reached once.
    async fn epoch(&self) -> Result<Epoch, Unavailable>;

    /// The newest revision, of whatever key.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn revision(&self) -> Result<Revision, Unavailable>;

    /// One entry.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, Unavailable>;

    /// Every entry whose key starts with `prefix`; all of them for an empty one.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn range(&self, prefix: &str) -> Result<Range, Unavailable>;

    /// Applies a transaction and answers the revision that it led to, which is the current
    /// one when it changed nothing. A durable store answers once the transaction is on disk.
    ///
    /// # Errors
    /// [`CommitError`]; nothing of the transaction was done, except that after
    /// [`Unavailable`] the outcome is open: it may turn out to have been done as a whole.
    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError>;

    /// Makes a lease that ends `ttl` after it was last kept alive. Less than a second counts
    /// as one, more than a year as a year.
    ///
    /// # Errors
    /// [`Unavailable`].
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable>;

    /// Gives a lease its full time again, counted from now.
    ///
    /// # Errors
    /// [`LeaseError::Unknown`] when it has ended: its keys are gone and must be put again.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError>;

    /// Ends a lease now and deletes its keys.
    ///
    /// # Errors
    /// [`LeaseError::Unknown`] when it has ended already.
    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError>;

    /// The changes below `prefix` after revision `after`, as they happen.
    ///
    /// # Errors
    /// [`WatchError::Compacted`] here or later in the stream when changes after `after` are no
    /// longer kept: list, and watch from the list's revision.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError>;

    /// Whether writes are possible.
    ///
    /// # Errors
    /// [`Unavailable`] says why not.
    async fn health(&self) -> Result<(), Unavailable>;
}
