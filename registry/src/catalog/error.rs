//! Why the catalog did not do what was asked.

use a8_common::model::InstanceId;
use a8_common::store::{CommitError, Unavailable};

/// The store has not been read yet; ask again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the catalog has not been loaded yet")]
pub struct NotLoaded;

/// Why an instance was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Nothing is known yet.
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    /// The namespace has no place left.
    #[error("the namespace holds {capacity} instances, which is its capacity")]
    Full {
        /// How many it may hold.
        capacity: usize,
    },
    /// Too many others were registering.
    #[error("too many registrations at once")]
    Contended,
    /// The instance could not be written as JSON: our own fault.
    #[error("the instance cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The store did not take it: our own fault.
    #[error("the store refused the instance")]
    Refused(#[source] CommitError),
    /// The store is away.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RegisterError {
    /// Whether the same registration may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::NotLoaded(_) | Self::Full { .. } | Self::Contended | Self::Unavailable(_) => true,
            Self::Unwritable(_) | Self::Refused(_) => false,
        }
    }
}

impl From<CommitError> for RegisterError {
    fn from(e: CommitError) -> Self {
        match e {
            CommitError::Unavailable(e) => Self::Unavailable(e),
            // A lease that was granted just now and has ended: this process was absent.
            CommitError::UnknownLease(_) => Self::Contended,
            e @ (CommitError::Compare { .. } | CommitError::Refused(_)) => Self::Refused(e),
        }
    }
}

/// Why an instance was not renewed or taken away.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// Nothing is known yet.
    #[error(transparent)]
    NotLoaded(#[from] NotLoaded),
    /// There is no such instance.
    #[error("instance {0} is not registered")]
    Unknown(InstanceId),
    /// Kubernetes says of it whether it is there.
    #[error("instance {0} is Kubernetes' own: it was not registered")]
    OfCluster(InstanceId),
    /// The store is away.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl RenewError {
    /// Whether the same call may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unknown(_) | Self::OfCluster(_) => false,
            Self::NotLoaded(_) | Self::Unavailable(_) => true,
        }
    }
}
