//! The book of rules: transactions over a [`Store`], and a view of each namespace that reads
//! and watches are served from.
//!
//! Every rule is one entry of the store. Beside the rules of a namespace stands its *marker*,
//! which every transaction puts again: the revision that last changed the marker is the
//! revision of the namespace, and a write that builds on a revision is a compare on it.
//!
//! A write is answered once its revision has reached the view, so whoever wrote reads it.

mod error;
mod key;
mod selection;
mod shelf;
mod shelves;

use std::sync::Arc;
use std::time::Duration;

use a8_common::host::Ground;
use a8_common::http::IfMatch;
use a8_common::model::{Namespace, Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::store::{CommitError, Compare, Entry, Store, Transaction};
use bytes::Bytes;
use prometheus::IntGauge;
use tracing::{error, warn};

use self::shelves::{Feeder, Shelves};

pub use error::{NotLoaded, WriteError};
pub use selection::{Kind, Selection};
pub use shelf::Shelf;

/// The most rules that one namespace may hold. A watcher is sent them in one line.
pub const MAX_RULES: usize = 50_000;

/// How long an answer waits for the view. Only a store that went away between the write and
/// its event makes it that long; the write stands all the same.
const SETTLE: Duration = Duration::from_secs(5);

/// How often a deletion by filter starts over because somebody else wrote meanwhile.
const MAX_ATTEMPTS: usize = 16;

/// The rules of all namespaces.
pub struct RuleBook {
    store: Arc<dyn Store>,
    shelves: Arc<Shelves>,
}

/// Whether a write is done or only tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    Commit,
    /// Everything is checked and nothing is stored.
    DryRun,
}

/// What a deletion took, or would take.
#[derive(Debug, PartialEq)]
pub struct Removed {
    /// The ids of the rules, in order.
    pub ids: Vec<RuleId>,
    /// The revision of the namespace now.
    pub revision: Revision,
}

impl RuleBook {
    /// Opens the book over the store of `ground`, whose tasks keep its views up to date and
    /// tell its health.
    ///
    /// # Errors
    /// When there is a metric already that the book counts.
    pub fn start(ground: Ground<'_>) -> Result<Self, prometheus::Error> {
        let rules = IntGauge::new("a8_controller_rules", "Rules of all namespaces")?;
        ground.metrics.register(Box::new(rules.clone()))?;
        let shelves = Arc::new(Shelves::new(rules));
        ground.follow(key::ALL, Feeder(shelves.clone()));
        Ok(Self {
            store: ground.store,
            shelves,
        })
    }

    /// The rules of `namespace`.
    ///
    /// # Errors
    /// [`NotLoaded`] until the store has been read once.
    pub fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, NotLoaded> {
        self.shelves.shelf(namespace)
    }

    /// Stores `rules`, as one transaction. A rule whose id is there already replaces it, as
    /// it did in 1.1.0.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was stored.
    pub async fn add(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let now = shelf.snapshot();
        let known = &now.items;
        let new = rules.iter().filter(|rule| !known.contains_key(rule.id()));
        if known.len() + new.count() > MAX_RULES {
            return Err(WriteError::Full { max: MAX_RULES });
        }
        let condition = self.condition(shelf, condition).await?;
        self.put(shelf, rules, condition, false, mode).await
    }

    /// Replaces rules that are there, as one transaction.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was stored.
    pub async fn update(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let condition = self.condition(shelf, condition).await?;
        self.put(shelf, rules, condition, true, mode).await
    }

    async fn put(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: Option<Compare>,
        must_exist: bool,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let mut transaction = Transaction::new();
        let conditions = condition.iter().len();
        transaction.compares.extend(condition);
        for rule in rules {
            let key = key::rule(shelf.namespace(), rule.id());
            if must_exist {
                transaction = transaction.when(Compare::Exists(key.clone()));
            }
            let value = serde_json::to_vec(rule).map_err(WriteError::Unwritable)?;
            transaction = transaction.put(key, value);
        }
        if mode == Mode::DryRun {
            return self.rehearse(shelf, transaction, conditions, rules).await;
        }
        let _leave = shelf.beside_others().await;
        let committed = self.commit(shelf, transaction).await;
        committed.map_err(|e| blame(e, conditions, rules))
    }

    /// Deletes the rules that `selection` takes, as one transaction. Deleting none changes
    /// nothing.
    ///
    /// # Errors
    /// [`WriteError::Unknown`] when the selection names an id that is not there, or another
    /// [`WriteError`]; nothing was deleted.
    pub async fn remove(
        &self,
        shelf: &Shelf,
        selection: &Selection,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Removed, WriteError> {
        let namespace = shelf.namespace();
        let epoch = self.store.epoch().await?;
        let mut alone = None;
        for attempt in 0..MAX_ATTEMPTS {
            // What is read here must still be so when it is written, which a few callers that
            // write without a condition could put off for ever.
            if attempt > 0 && alone.is_none() {
                alone = Some(shelf.alone().await);
            }
            // From the store and not from the view, which may be behind another controller's
            // writes: what a caller has been told of must be found.
            let now = self.store.range(&key::namespace(namespace)).await?;
            let marker = key::marker(namespace);
            let revision = now.entries.iter().find(|entry| entry.key == marker);
            let revision = revision.map_or(Revision(0), |entry| entry.mod_revision);
            if !condition.holds(&epoch, revision) {
                return Err(WriteError::Moved);
            }
            let rules: Vec<Rule> = now.entries.iter().filter_map(|e| read(e)).collect();
            let unknown = selection.unknown(|id| rules.iter().any(|r| r.id().as_str() == id));
            if !unknown.is_empty() {
                return Err(WriteError::Unknown(unknown));
            }
            let taken: Vec<&Rule> = rules.iter().filter(|rule| selection.takes(rule)).collect();
            let ids = taken.iter().map(|rule| rule.id().clone()).collect();
            if taken.is_empty() || mode == Mode::DryRun {
                return Ok(Removed { ids, revision });
            }
            let mut transaction = Transaction::new().when(Compare::ModRevision(marker, revision));
            transaction = match selection.takes_all() {
                true => transaction.delete_prefix(key::rules(namespace)),
                false => taken.iter().fold(transaction, |transaction, rule| {
                    transaction.delete(key::rule(namespace, rule.id()))
                }),
            };
            match self.commit(shelf, transaction).await {
                Ok(revision) => return Ok(Removed { ids, revision }),
                Err(CommitError::Compare { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(WriteError::Contended)
    }

    /// What must hold of the marker for a write that builds on `condition`.
    async fn condition(
        &self,
        shelf: &Shelf,
        condition: &IfMatch,
    ) -> Result<Option<Compare>, WriteError> {
        let revision = match condition {
            IfMatch::Any => return Ok(None),
            IfMatch::Revision(revision) => *revision,
            IfMatch::State(epoch, revision) if self.store.epoch().await? == *epoch => *revision,
            IfMatch::State(..) => return Err(WriteError::Moved),
        };
        let marker = key::marker(shelf.namespace());
        Ok(Some(Compare::ModRevision(marker, revision)))
    }

    /// Commits, and waits until the view has it.
    async fn commit(
        &self,
        shelf: &Shelf,
        transaction: Transaction,
    ) -> Result<Revision, CommitError> {
        let transaction = transaction.put(key::marker(shelf.namespace()), Bytes::new());
        let revision = self.store.commit(transaction).await?;
        let seen = tokio::time::timeout(SETTLE, shelf.reached(revision)).await;
        if seen.is_err() {
            warn!(namespace = %shelf.namespace(), %revision, "a write is stored and not yet visible");
        }
        Ok(revision)
    }

    /// Checks what a transaction compares, without its writes.
    async fn rehearse(
        &self,
        shelf: &Shelf,
        transaction: Transaction,
        conditions: usize,
        rules: &[Rule],
    ) -> Result<Revision, WriteError> {
        transaction.check()?;
        let checks = Transaction {
            ops: Vec::new(),
            ..transaction
        };
        let checked = self.store.commit(checks).await;
        checked.map_err(|e| blame(e, conditions, rules))?;
        let marker = self.store.get(&key::marker(shelf.namespace())).await?;
        Ok(marker.map_or(Revision(0), |entry| entry.mod_revision))
    }
}

/// Which rule, or the condition, a failed compare was about.
fn blame(e: CommitError, conditions: usize, rules: &[Rule]) -> WriteError {
    let CommitError::Compare { index } = e else {
        return e.into();
    };
    match index.checked_sub(conditions).and_then(|at| rules.get(at)) {
        Some(rule) => WriteError::Unknown(vec![rule.id().to_string()]),
        None => WriteError::Moved,
    }
}

/// The rule of an entry. One that cannot be read is named and passed over: the rest of the
/// book is good.
fn read(entry: &Entry) -> Option<Rule> {
    key::parse(&entry.key)?.1?;
    let rule = serde_json::from_slice(&entry.value);
    rule.inspect_err(|e| error!(key = %entry.key, error = %e, "an entry of the store is no rule"))
        .ok()
}

#[cfg(test)]
mod tests;
