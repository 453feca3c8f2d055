//! Entries, and transactions over them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::error::RefusedTransaction;
use crate::model::Revision;

/// A key: segments with `/` between them, by convention of the callers.
pub type Key = Arc<str>;

/// Names a lease. Never zero, and never above `i64::MAX`, which is what etcd takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl LeaseId {
    /// An id that, but for a chance of one in 2^63, no other lease has.
    pub(super) fn fresh() -> Self {
        Self(fastrand::u64(1..=i64::MAX as u64))
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Key,
    /// Its value; the store does not look into it.
    pub value: Bytes,
    /// The transaction that made the key.
    pub create_revision: Revision,
    /// The transaction that last put it.
    pub mod_revision: Revision,
    /// The lease with which it ends.
    pub lease: Option<LeaseId>,
}

/// A condition on the state before the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The key is there.
    Exists(Key),
    /// The key is not there.
    Absent(Key),
    /// The key was last put by this revision; `Revision(0)` says that it is not there.
    ModRevision(Key, Revision),
    /// The key is there and attached to this lease, or to none.
    Lease(Key, Option<LeaseId>),
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Adds or replaces an entry; it is attached to this lease only.
    Put {
        /// Its key.
        key: Key,
        /// Its value.
        value: Bytes,
        /// The lease with which it ends.
        lease: Option<LeaseId>,
    },
    /// Deletes an entry; one that is not there is no error.
    Delete(Key),
    /// Deletes every entry whose key starts with this.
    DeletePrefix(Key),
}

/// Operations that happen together, when all compares hold. No key may be touched twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What must hold.
    pub compares: Vec<Compare>,
    /// What is done.
    pub ops: Vec<Op>,
}

/// What one transaction did below a watched prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The revision it led to.
    pub revision: Revision,
    /// Its changes; at least one.
    pub events: Vec<Event>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An entry was added or replaced.
    Put(Arc<Entry>),
    /// A key is gone.
    Delete(Key),
}

impl Event {
    /// The key that changed.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete(key) => key,
        }
    }
}

impl Transaction {
    /// The longest key, in bytes.
    pub const MAX_KEY_BYTES: usize = 1024;
    /// The longest value, in bytes.
    pub const MAX_VALUE_BYTES: usize = 1 << 20;
    /// The most operations of one transaction.
    pub const MAX_OPS: usize = 16_384;
    /// The most compares of one transaction.
    pub const MAX_COMPARES: usize = 16;

    /// Without compares and operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a compare.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compares.push(compare);
        self
    }

    /// Adds a put without a lease.
    #[must_use]
    pub fn put(mut self, key: impl Into<Key>, value: impl Into<Bytes>) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        });
        self
    }

    /// Adds a put that ends with `lease`.
    #[must_use]
    pub fn put_leased(
        mut self,
        key: impl Into<Key>,
        value: impl Into<Bytes>,
        lease: LeaseId,
    ) -> Self {
        self.ops.push(Op::Put {
            key: key.into(),
            value: value.into(),
            lease: Some(lease),
        });
        self
    }

    /// Adds a delete.
    #[must_use]
    pub fn delete(mut self, key: impl Into<Key>) -> Self {
        self.ops.push(Op::Delete(key.into()));
        self
    }

    /// Adds a delete of everything below `prefix`.
    #[must_use]
    pub fn delete_prefix(mut self, prefix: impl Into<Key>) -> Self {
        self.ops.push(Op::DeletePrefix(prefix.into()));
        self
    }

    /// The leases that its puts name, each once.
    pub fn leases(&self) -> Vec<LeaseId> {
        let named = self.ops.iter().filter_map(|op| match op {
            Op::Put { lease, .. } => *lease,
            Op::Delete(_) | Op::DeletePrefix(_) => None,
        });
        let mut leases: Vec<_> = named.collect();
        leases.sort_unstable();
        leases.dedup();
        leases
    }

    /// Checks what does not depend on the store's content.
    ///
    /// # Errors
    /// [`RefusedTransaction`].
    pub fn check(&self) -> Result<(), RefusedTransaction> {
        if self.ops.len() > Self::MAX_OPS {
            let got = self.ops.len();
            return Err(RefusedTransaction::TooManyOps { got });
        }
        if self.compares.len() > Self::MAX_COMPARES {
            let got = self.compares.len();
            return Err(RefusedTransaction::TooManyCompares { got });
        }
        let mut keys: Vec<&Key> = Vec::with_capacity(self.ops.len());
        let mut prefixes: Vec<&Key> = Vec::new();
        for op in &self.ops {
            match op {
                Op::Put { key, value, .. } => {
                    check_key(key)?;
                    if value.len() > Self::MAX_VALUE_BYTES {
                        return Err(RefusedTransaction::ValueLength {
                            key: key.clone(),
                            got: value.len(),
                        });
                    }
                    keys.push(key);
                }
                Op::Delete(key) => {
                    check_key(key)?;
                    keys.push(key);
                }
                Op::DeletePrefix(prefix) => prefixes.push(prefix),
            }
        }
        check_disjoint(keys, prefixes)
    }
}

fn check_key(key: &str) -> Result<(), RefusedTransaction> {
    match key.len() {
        1..=Transaction::MAX_KEY_BYTES => Ok(()),
        got => Err(RefusedTransaction::KeyLength { got }),
    }
}

/// etcd refuses overlapping operations; so does every adapter.
fn check_disjoint(mut keys: Vec<&Key>, mut prefixes: Vec<&Key>) -> Result<(), RefusedTransaction> {
    let twice = |key: &Key| Err(RefusedTransaction::TouchedTwice(key.clone()));
    keys.sort_unstable();
    prefixes.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return twice(pair[0]);
    }
    // In sorted order a prefix is followed directly by what starts with it.
    if let Some(pair) = prefixes
        .windows(2)
        .find(|pair| pair[1].starts_with(&**pair[0]))
    {
        return twice(pair[1]);
    }
    for prefix in prefixes {
        let at = keys.partition_point(|key| *key < prefix);
        if let Some(key) = keys.get(at).filter(|key| key.starts_with(&**prefix)) {
            return twice(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_operations_are_refused() {
        let twice = |tx: Transaction| matches!(tx.check(), Err(RefusedTransaction::TouchedTwice(key)) if &*key == "a/b");
        assert!(twice(Transaction::new().put("a/b", "1").delete("a/b")));
        assert!(twice(
            Transaction::new()
                .put("a/b", "1")
                .put("b", "1")
                .delete_prefix("a/")
        ));
        assert!(twice(
            Transaction::new().delete_prefix("a/b").delete_prefix("a/")
        ));
        let apart = Transaction::new()
            .put("a", "1")
            .delete_prefix("a/")
            .delete("b");
        assert_eq!(apart.check(), Ok(()));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let long = "k".repeat(Transaction::MAX_KEY_BYTES + 1);
        let big = vec![0; Transaction::MAX_VALUE_BYTES + 1];
        assert!(Transaction::new().put(long, "").check().is_err());
        assert!(Transaction::new().put("", "").check().is_err());
        assert!(Transaction::new().put("k", big).check().is_err());
        let many = (0..=Transaction::MAX_OPS).map(|i| Op::Delete(i.to_string().into()));
        let many = Transaction {
            ops: many.collect(),
            ..Transaction::new()
        };
        assert!(many.check().is_err());
        let compares =
            (0..=Transaction::MAX_COMPARES).map(|i| Compare::Exists(i.to_string().into()));
        let guarded = Transaction {
            compares: compares.collect(),
            ..Transaction::new()
        };
        assert!(guarded.check().is_err());
    }
}
