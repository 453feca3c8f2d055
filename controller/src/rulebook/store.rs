//! The rules as entries of a [`Store`]: every write is one transaction.
//!
//! Every rule is one entry of the store. Beside the rules of a namespace stands its *marker*,
//! which every transaction puts again: the revision that last changed the marker is the
//! revision of the namespace, and a write that builds on a revision is a compare on it.

mod key;
mod shelves;

use std::sync::Arc;

use a8_common::host::Ground;
use a8_common::http::IfMatch;
use a8_common::model::{Namespace, Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::store::{CommitError, Compare, Entry, Store, Transaction, Unavailable};
use bytes::Bytes;
use prometheus::IntGauge;
use tracing::{error, warn};

use self::shelves::{Feeder, Shelves};
use super::{
    MAX_ATTEMPTS, MAX_RULES, Mode, Removed, Rules, SETTLE, Selection, Shelf, ShelfError, WriteError,
};

/// Up to so many rules are replaced without a look at the others: one compare each.
const FEW: usize = Transaction::MAX_COMPARES;

/// The rules of all namespaces, as a store has them.
pub struct Book {
    store: Arc<dyn Store>,
    shelves: Arc<Shelves>,
}

impl Book {
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

    /// See [`RuleBook::shelf`](super::RuleBook::shelf).
    pub(super) fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, ShelfError> {
        self.shelves.shelf(namespace)
    }

    /// See [`RuleBook::newest`](super::RuleBook::newest).
    pub(super) async fn newest(&self) -> Result<Revision, Unavailable> {
        self.store.revision().await
    }

    /// See [`RuleBook::add`](super::RuleBook::add). It is one transaction.
    pub(super) async fn add(
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
        let puts = puts(shelf, rules)?;
        if mode == Mode::Commit && *condition == IfMatch::Any {
            let _leave = shelf.beside_others().await;
            return Ok(self.commit(shelf, puts).await?);
        }
        let add = |_: &Rules| Ok(((), puts.clone()));
        let added = self.rewrite(shelf, condition, mode, add).await?;
        Ok(added.1)
    }

    /// See [`RuleBook::update`](super::RuleBook::update). It is one transaction.
    pub(super) async fn update(
        &self,
        shelf: &Shelf,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let puts = puts(shelf, rules)?;
        let ids = || rules.iter().map(Rule::id);
        if mode == Mode::Commit && *condition == IfMatch::Any && rules.len() <= FEW {
            return self.touch(shelf, ids(), puts).await;
        }
        let update = |now: &Rules| match unknown(ids(), now) {
            unknown if unknown.is_empty() => Ok(((), puts.clone())),
            unknown => Err(WriteError::Unknown(unknown)),
        };
        let updated = self.rewrite(shelf, condition, mode, update).await?;
        Ok(updated.1)
    }

    /// See [`RuleBook::remove`](super::RuleBook::remove). It is one transaction.
    pub(super) async fn remove(
        &self,
        shelf: &Shelf,
        selection: &Selection,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Removed, WriteError> {
        let namespace = shelf.namespace();
        let remove = |now: &Rules| {
            let known = |id: &str| now.keys().any(|known| known.as_str() == id);
            let unknown = selection.unknown(known);
            if !unknown.is_empty() {
                return Err(WriteError::Unknown(unknown));
            }
            let taken = now.values().filter(|rule| selection.takes(rule));
            let ids: Vec<RuleId> = taken.map(|rule| rule.id().clone()).collect();
            let nothing = Transaction::new();
            let transaction = match selection.takes_all() && !ids.is_empty() {
                true => nothing.delete_prefix(key::rules(namespace)),
                false => ids.iter().fold(nothing, |transaction, id| {
                    transaction.delete(key::rule(namespace, id))
                }),
            };
            Ok((ids, transaction))
        };
        let (ids, revision) = self.rewrite(shelf, condition, mode, remove).await?;
        Ok(Removed { ids, revision })
    }

    /// Commits `puts` of a few rules that must all be there, beside whoever else writes.
    async fn touch<'a>(
        &self,
        shelf: &Shelf,
        ids: impl Iterator<Item = &'a RuleId> + Clone,
        puts: Transaction,
    ) -> Result<Revision, WriteError> {
        let exists = |id| Compare::Exists(key::rule(shelf.namespace(), id));
        let transaction = ids.clone().fold(puts, |tx, id| tx.when(exists(id)));
        let _leave = shelf.beside_others().await;
        let committed = self.commit(shelf, transaction).await;
        committed.map_err(|e| match e {
            CommitError::Compare { index } => {
                WriteError::Unknown(ids.skip(index).take(1).map(RuleId::to_string).collect())
            }
            e => e.into(),
        })
    }

    /// Commits what `plan` makes of the rules as they are, unless somebody else wrote
    /// meanwhile; then again. A plan without operations changes nothing.
    ///
    /// The rules are those of the view, which may be behind another controller's writes: what
    /// a caller has been told of must be found. So no word of the plan's is final until the
    /// view is known to be as new as the store.
    async fn rewrite<T>(
        &self,
        shelf: &Shelf,
        condition: &IfMatch,
        mode: Mode,
        plan: impl Fn(&Rules) -> Result<(T, Transaction), WriteError>,
    ) -> Result<(T, Revision), WriteError> {
        let marker = key::marker(shelf.namespace());
        let mut alone = None;
        let mut fresh = false;
        for _ in 0..MAX_ATTEMPTS {
            let now = shelf.snapshot();
            let holds = now
                .epoch
                .as_ref()
                .is_some_and(|e| condition.holds(e, now.revision));
            let planned = match holds {
                true => plan(&now.items),
                false => Err(WriteError::Moved),
            };
            match planned {
                Err(e) if fresh => return Err(e),
                Err(_) => {}
                Ok((value, transaction)) if mode == Mode::DryRun || transaction.ops.is_empty() => {
                    transaction.check()?;
                    if fresh {
                        return Ok((value, now.revision));
                    }
                }
                Ok((value, transaction)) => {
                    let unmoved = Compare::ModRevision(marker.clone(), now.revision);
                    match self.commit(shelf, transaction.when(unmoved)).await {
                        Ok(revision) => return Ok((value, revision)),
                        Err(CommitError::Compare { .. }) => {}
                        Err(e) => return Err(e.into()),
                    }
                }
            }
            // A few callers that write without a condition could put this off for ever.
            if alone.is_none() {
                alone = Some(shelf.alone().await);
            }
            let newest = self.store.get(&marker).await?;
            let newest = newest.map_or(Revision(0), |entry| entry.mod_revision);
            fresh = settled(shelf, newest).await;
            if !fresh {
                return Err(Unavailable::because("its changes do not arrive").into());
            }
        }
        Err(WriteError::Contended)
    }

    /// Commits, and waits until the view has it.
    async fn commit(
        &self,
        shelf: &Shelf,
        transaction: Transaction,
    ) -> Result<Revision, CommitError> {
        let transaction = transaction.put(key::marker(shelf.namespace()), Bytes::new());
        let revision = self.store.commit(transaction).await?;
        if !settled(shelf, revision).await {
            warn!(namespace = %shelf.namespace(), %revision, "a write is stored and not yet visible");
        }
        Ok(revision)
    }
}

/// Waits for a while until the view has `revision`.
async fn settled(shelf: &Shelf, revision: Revision) -> bool {
    let reached = tokio::time::timeout(SETTLE, shelf.reached(revision)).await;
    reached.is_ok()
}

fn puts(shelf: &Shelf, rules: &[Rule]) -> Result<Transaction, WriteError> {
    rules
        .iter()
        .try_fold(Transaction::new(), |transaction, rule| {
            let value = serde_json::to_vec(rule).map_err(WriteError::Unwritable)?;
            Ok(transaction.put(key::rule(shelf.namespace(), rule.id()), value))
        })
}

fn unknown<'a>(ids: impl Iterator<Item = &'a RuleId>, known: &Rules) -> Vec<String> {
    ids.filter(|id| !known.contains_key(*id))
        .map(RuleId::to_string)
        .collect()
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
