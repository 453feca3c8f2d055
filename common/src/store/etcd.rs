//! A store in etcd: shared by any number of servers, each of which may die.
//!
//! Keys lie under one prefix, so that an etcd may be shared with others. What the port asks
//! for maps onto etcd directly: revisions, transactions, leases and watches are etcd's. What
//! is ours is which member is asked ([`members`]), what its errors mean ([`trouble`]), and
//! that a heartbeat takes no call of its own ([`heartbeats`]).
//!
//! etcd itself spares every lease when it was without a leader: the next one gives all of
//! them their full time.

mod changes;
mod connect;
mod entry;
mod heartbeats;
mod identity;
mod members;
mod pages;
mod transaction;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::LeaseGrantOptions;
use tracing::{info, warn};

use super::error::{CommitError, LeaseError, Unavailable, WatchError};
use super::lease;
use super::open::{OpenError, etcd::Config};
use super::transaction::{Entry, LeaseId, Transaction};
use super::{Range, Store, Watch};
use crate::model::{Epoch, Revision};
use crate::task::Tasks;

use self::entry::{Keys, header};
use self::heartbeats::Heartbeats;
use self::members::Members;
use self::trouble::Trouble;

/// A store in etcd.
pub struct Etcd {
    members: Arc<Members>,
    keys: Keys,
    heartbeats: Heartbeats,
    /// etcd refused to write for want of room, and has not taken a write since.
    full: AtomicBool,
}

impl Etcd {
    /// A store in the etcd of `config`, which may be away: nothing is asked of it yet.
    ///
    /// # Errors
    /// [`OpenError::Read`] when a certificate or key cannot be read.
    pub fn open(config: &Config, tasks: &Tasks) -> Result<Self, OpenError> {
        let members = Arc::new(Members::new(config)?);
        Ok(Self {
            heartbeats: Heartbeats::start(&members, tasks),
            keys: Keys::below(&config.prefix),
            members,
            full: AtomicBool::new(false),
        })
    }

    /// Notes whether etcd has room, and says so when that has changed.
    fn noted<T>(&self, written: Result<T, Trouble>) -> Result<T, Trouble> {
        match &written {
            Ok(_) if self.full.swap(false, Ordering::Relaxed) => {
                info!("etcd takes writes again");
            }
            Err(Trouble::Full(reason)) if !self.full.swap(true, Ordering::Relaxed) => {
                warn!(
                    reason,
                    "etcd is full: compact and defragment it, then disarm its alarm"
                );
            }
            _ => {}
        }
        written
    }
}

#[async_trait]
impl Store for Etcd {
    async fn epoch(&self) -> Result<Epoch, Unavailable> {
        identity::of(&self.members, &self.keys).await
    }

    async fn revision(&self) -> Result<Revision, Unavailable> {
        let asked = self.members.ask(|client| {
            let key = self.keys.full("");
            async move { client.kv_client().get(key, None).await }
        });
        Ok(header(asked.await?.header()).revision)
    }

    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, Unavailable> {
        let found = self.members.ask(|client| {
            let key = self.keys.full(key);
            async move { client.kv_client().get(key, None).await }
        });
        let found = found.await?;
        Ok(found.kvs().first().and_then(|kv| self.keys.entry(kv)))
    }

    async fn range(&self, prefix: &str) -> Result<Range, Unavailable> {
        Ok(pages::read(&self.members, &self.keys, prefix).await?)
    }

    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        transaction.check()?;
        let request = transaction::encode(&self.keys, &transaction);
        let committed = self.members.tell(|client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        });
        let reply = match self.noted(committed.await) {
            Ok(reply) => reply,
            Err(Trouble::NoLease) => return Err(self.unknown_lease(&transaction).await),
            Err(e) => return Err(e.into()),
        };
        if !reply.succeeded() {
            let index = transaction::first_failed(&transaction, &reply);
            return Err(CommitError::Compare { index });
        }
        Ok(header(reply.header()).revision)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable> {
        let id = LeaseId::fresh();
        // Whole seconds; a fraction rounds up, for no lease may be shorter than was asked.
        let seconds = lease::bounded(ttl).as_millis().div_ceil(1000);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let granted = self.members.ask(|client| {
            let options = LeaseGrantOptions::new().with_id(entry::signed(id.0));
            async move { client.lease_client().grant(seconds, Some(options)).await }
        });
        match self.noted(granted.await) {
            // The id is our own: an answer to the first try was lost.
            Ok(_) => Ok(id),
            Err(Trouble::LeaseExists) => Ok(id),
            Err(e) => Err(e.into()),
        }
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.heartbeats.beat(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError> {
        let revoked = self.members.ask(|client| {
            let id = entry::signed(lease.0);
            async move { client.lease_client().revoke(id).await }
        });
        match revoked.await {
            Ok(_) => Ok(()),
            Err(Trouble::NoLease) => Err(LeaseError::Unknown(lease)),
            Err(e) => Err(Unavailable::from(e).into()),
        }
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        changes::watch(&self.members, &self.keys, prefix, after, self.revision()).await
    }

    async fn health(&self) -> Result<(), Unavailable> {
        self.epoch().await?;
        // A full etcd still reads. Whether it is full no longer only a write can tell.
        if self.full.load(Ordering::Relaxed) {
            let written = self.members.ask(|client| {
                let key = self.keys.full(entry::PROBE);
                async move { client.kv_client().put(key, "", None).await }
            });
            self.noted(written.await)?;
        }
        Ok(())
    }
}

impl Etcd {
    /// Which lease of a refused transaction has ended; etcd does not say.
    async fn unknown_lease(&self, transaction: &Transaction) -> CommitError {
        let leases = transaction.leases();
        for lease in &leases {
            let asked = self.members.ask(|client| {
                let id = entry::signed(lease.0);
                async move { client.lease_client().time_to_live(id, None).await }
            });
            match asked.await {
                Ok(left) if left.ttl() > 0 => {}
                Ok(_) | Err(Trouble::NoLease) => return CommitError::UnknownLease(*lease),
                Err(e) => return e.into(),
            }
        }
        match leases.first() {
            Some(first) => CommitError::UnknownLease(*first),
            None => Unavailable::because("etcd misses a lease that was not named").into(),
        }
    }
}

#[cfg(test)]
mod tests;
