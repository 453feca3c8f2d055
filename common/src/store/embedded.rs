//! A durable store in one local file.
//!
//! Reads and watches are answered from memory; the file is there to begin again from. One
//! task owns it. Commits that arrive while a write is under way wait, and go to disk together
//! in the next one: one `fsync` for all of them, each with its own revision, each compare
//! seeing the ones before it. They become visible, and are answered, after that `fsync`.
//!
//! Kept on disk: entries with their revisions, leases with their time to live, the store's
//! revision, its epoch. Not kept: when a lease was last kept alive. After a restart every lease
//! begins with its full time, since nobody could keep it alive meanwhile; one that had ended
//! before stays ended. The history is not kept either: watchers list again.
//!
//! When the disk is full or fails, writes are refused as unavailable and reads go on. The
//! file is then opened anew before the next write, and brought to what memory says should a
//! refused write have reached it after all.
//!
//! # Why redb
//!
//! It is pure Rust (no C toolchain for a static binary), one file of a stable format, a
//! copy-on-write B-tree whose commit is one `fsync` and whose pages carry checksums, so that a
//! process killed at any moment leaves the last commit in place; and it is maintained. SQLite
//! is the most proven of the alternatives, but is C and brings a query language nobody here
//! needs. LMDB is C too and maps a file of a size fixed in advance. RocksDB and fjall, being
//! log-structured, are made for write volumes far beyond a control plane's and keep a folder
//! of files with background work. sled has had no stable release for years. A hand-made log
//! would be less code than any of them, and the recovery of it would be ours to get right.

mod disk;
mod lock;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use super::error::{CommitError, LeaseError, Unavailable, WatchError};
use super::lease;
use super::live::Live;
use super::open::OpenError;
use super::transaction::{Entry, LeaseId, Transaction};
use super::{Range, Store, Watch};
use crate::model::{Epoch, Revision};
use crate::task::Tasks;
use disk::Disk;
use writer::{Command, Writer};

/// How many writes may wait for the writer; more wait with their callers.
const QUEUE: usize = 4096;

/// A durable store; writes are on disk when they are answered.
pub struct Embedded {
    live: Arc<Live>,
    writer: mpsc::Sender<Command>,
    trouble: watch::Receiver<Option<Unavailable>>,
}

impl Embedded {
    /// Opens the store of `data_dir`, or makes one where there is none. Its writer runs on
    /// `tasks`; when they end, what has been asked for by then is written, the file is closed
    /// and the folder is free for another process.
    ///
    /// # Errors
    /// [`OpenError`]; no data on disk was given up.
    pub async fn open(data_dir: &Path, tasks: &Tasks) -> Result<Self, OpenError> {
        let data_dir = data_dir.to_owned();
        Self::start(tasks, move || Disk::open(&data_dir)).await
    }

    async fn start(
        tasks: &Tasks,
        open: impl FnOnce() -> Result<(Disk, disk::Content), OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(open).await;
        let (disk, content) = match opened {
            Ok(opened) => opened?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let live = Live::new(content.epoch, content.tree);
        let (commands, queue) = mpsc::channel(QUEUE);
        let (report, trouble) = watch::channel(None);
        let writer = Writer::new(live.clone(), disk, queue, report);
        tasks.spawn("store-writer", writer.run(tasks.stop().clone()));
        Ok(Self {
            live,
            writer: commands,
            trouble,
        })
    }

    /// Hands a command to the writer and waits for its answer.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Unavailable> {
        let ended = |()| Unavailable::because("it is being closed");
        let (reply, answer) = oneshot::channel();
        let sent = self.writer.send(command(reply)).await;
        sent.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))
    }
}

#[async_trait]
impl Store for Embedded {
    async fn epoch(&self) -> Result<Epoch, Unavailable> {
        Ok(self.live.epoch.clone())
    }

    async fn revision(&self) -> Result<Revision, Unavailable> {
        Ok(self.live.state().tree.revision)
    }

    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, Unavailable> {
        Ok(self.live.get(key))
    }

    async fn range(&self, prefix: &str) -> Result<Range, Unavailable> {
        Ok(self.live.range(prefix))
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.ask(|reply| Command::Commit(transaction, reply))
            .await?
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable> {
        let id = LeaseId::fresh();
        let ttl = lease::bounded(ttl);
        self.ask(|reply| Command::Grant(id, ttl, reply)).await??;
        Ok(id)
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.live.keep_alive(lease)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.ask(|reply| Command::Revoke(lease, reply)).await?
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        self.live.watch(prefix, after)
    }

    async fn health(&self) -> Result<(), Unavailable> {
        let fine = self.trouble.borrow().is_none() && !self.writer.is_closed();
        if fine {
            return Ok(());
        }
        // There may be room again, and nobody else may be writing to find out.
        self.ask(Command::Probe).await?
    }
}

#[cfg(test)]
mod kill;
#[cfg(test)]
mod tests;
