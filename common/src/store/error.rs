//! What can go wrong at the port. Each error says whether the same call may simply be
//! made again.

use super::transaction::{Key, LeaseId, Transaction};
use crate::model::Revision;

/// The store cannot be reached or cannot write. Reads that need no store go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store is unavailable: {reason}")]
pub struct Unavailable {
    /// What is wrong, for people.
    pub reason: String,
}

impl Unavailable {
    /// With a reason for people.
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }

    /// Always: the store may be back.
    pub const fn retryable(&self) -> bool {
        true
    }
}

/// Why a transaction can never be applied, whatever the store holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedTransaction {
    /// Two operations touch the same key; their order would have no meaning.
    #[error("key {0:?} is touched by two operations")]
    TouchedTwice(Key),
    /// A key with more bytes than allowed, or none.
    #[error("a key has {got} bytes, 1 to {max} are allowed", max = Transaction::MAX_KEY_BYTES)]
    KeyLength {
        /// Bytes of the key.
        got: usize,
    },
    /// A value with more bytes than allowed.
    #[error("the value of {key:?} has {got} bytes, at most {max} are allowed", max = Transaction::MAX_VALUE_BYTES)]
    ValueLength {
        /// Whose value.
        key: Key,
        /// Bytes of the value.
        got: usize,
    },
    /// More operations than allowed.
    #[error("{got} operations in one transaction, at most {max} are allowed", max = Transaction::MAX_OPS)]
    TooManyOps {
        /// How many there are.
        got: usize,
    },
    /// More compares than allowed.
    #[error("{got} compares in one transaction, at most {max} are allowed", max = Transaction::MAX_COMPARES)]
    TooManyCompares {
        /// How many there are.
        got: usize,
    },
    /// The store behind has a limit of its own, which its operator may set.
    #[error("the store does not take so much in one transaction: {limit}")]
    StoreLimit {
        /// What the store says.
        limit: String,
    },
}

/// Why a transaction was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The compare at this place in the transaction does not hold.
    #[error("compare {index} of the transaction does not hold")]
    Compare {
        /// Its index among the compares; the first that fails is named.
        index: usize,
    },
    /// A put names a lease that has ended.
    #[error("lease {0} has ended")]
    UnknownLease(LeaseId),
    /// No store would take it.
    #[error(transparent)]
    Refused(#[from] RefusedTransaction),
    /// The store cannot be written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl CommitError {
    /// Whether the very same transaction may succeed later. One that is not guarded by
    /// compares may then be applied twice.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Compare { .. } | Self::UnknownLease(_) | Self::Refused(_) => false,
            Self::Unavailable(_) => true,
        }
    }
}

/// Why a lease could not be kept alive or revoked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It has ended, or never was.
    #[error("lease {0} has ended")]
    Unknown(LeaseId),
    /// The store cannot be written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl LeaseError {
    /// Whether the same call may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Unavailable(_) => true,
        }
    }
}

/// Why a watch cannot begin or go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The changes asked for are no longer, or not yet, in the history: list again.
    #[error("the changes after revision {after} are no longer kept")]
    Compacted {
        /// The revision up to which the watcher had been told.
        after: Revision,
    },
    /// The store cannot be reached.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl WatchError {
    /// Whether watching from the same revision may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Compacted { .. } => false,
            Self::Unavailable(_) => true,
        }
    }
}
