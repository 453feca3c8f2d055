//! Why a rule book cannot be read or written.

use a8_common::store::{CommitError, RefusedTransaction, Unavailable};

/// The store has not been read yet. Ask again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules have not been loaded yet")]
pub struct NotLoaded;

/// Why a write was not done. Nothing of it was stored, except that after
/// [`Unavailable`](Self::Unavailable) the outcome is open.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// These ids are not there.
    #[error("there is no rule with the id {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// The namespace is not, or no longer, at the revision that the write builds on.
    #[error("the rules have changed since the revision named by If-Match")]
    Moved,
    /// The namespace would hold too many rules.
    #[error("a namespace holds at most {max} rules")]
    Full {
        /// How many it may hold.
        max: usize,
    },
    /// Others wrote all the time.
    #[error("too many others are writing")]
    Contended,
    /// A rule has no JSON form.
    #[error("a rule cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// No store would take it.
    #[error(transparent)]
    Refused(#[from] RefusedTransaction),
    /// The store cannot be written.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<CommitError> for WriteError {
    fn from(e: CommitError) -> Self {
        match e {
            CommitError::Compare { .. } => Self::Moved,
            // No write of this book names a lease.
            CommitError::UnknownLease(_) => Self::Contended,
            CommitError::Refused(e) => Self::Refused(e),
            CommitError::Unavailable(e) => Self::Unavailable(e),
        }
    }
}
