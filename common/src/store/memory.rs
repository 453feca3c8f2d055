//! A store in memory: fast, and gone with its process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::error::{CommitError, LeaseError, Unavailable, WatchError};
use super::lease::{self, Ticker};
use super::live::Live;
use super::transaction::{Entry, LeaseId, Transaction};
use super::tree::Tree;
use super::{Range, Store, Watch};
use crate::model::{Epoch, Revision};
use crate::task::{Stop, Tasks};

/// A store whose content lives and dies with this process; each has a fresh epoch.
pub struct Memory {
    live: Arc<Live>,
}

impl Memory {
    /// An empty store. Its leases end for as long as `tasks` run.
    pub fn start(tasks: &Tasks) -> Self {
        let live = Live::new(Epoch::fresh(), Tree::default());
        tasks.spawn("store-leases", expire(live.clone(), tasks.stop().clone()));
        Self { live }
    }
}

#[async_trait]
impl Store for Memory {
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
        let mut state = self.live.state();
        if let Some(batch) = state.tree.commit(&transaction)? {
            state.record(batch);
        }
        let revision = state.tree.revision;
        drop(state);
        self.live.announce(revision);
        Ok(revision)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable> {
        let id = LeaseId::fresh();
        self.live.state().grant(id, lease::bounded(ttl));
        Ok(id)
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.live.keep_alive(lease)
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError> {
        end(&self.live, lease).ok_or(LeaseError::Unknown(lease))
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        self.live.watch(prefix, after)
    }

    async fn health(&self) -> Result<(), Unavailable> {
        Ok(())
    }
}

/// Ends leases that nobody kept alive.
async fn expire(live: Arc<Live>, stop: Stop) {
    let mut ticker = Ticker::new();
    loop {
        let next = ticker.next(&live.state().deadlines);
        if stop.race(sleep_until(next)).await.is_none() {
            return;
        }
        if let Some(absence) = ticker.absence() {
            live.state().spare_all(absence);
        }
        let due = live.state().deadlines.take_due(Instant::now());
        for lease in due {
            debug!(%lease, "lease expired");
            end(&live, lease);
        }
    }
}

fn end(live: &Live, lease: LeaseId) -> Option<()> {
    let mut state = live.state();
    state.deadlines.remove(lease);
    if let Some(batch) = state.tree.end(lease)? {
        state.record(batch);
    }
    let revision = state.tree.revision;
    drop(state);
    live.announce(revision);
    Some(())
}

#[cfg(test)]
mod tests;
