//! Why a rule book cannot be read or written.

use std::time::Duration;

use a8_common::model::Namespace;
use a8_common::rule::Fault;
use a8_common::store::{CommitError, RefusedTransaction, Unavailable};

/// Why the rules of a namespace cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// They have not been read yet. Ask again soon.
    #[error("the rules have not been loaded yet")]
    NotLoaded,
    /// A controller over a cluster has the rules of one namespace.
    #[error("this controller has the rules of the namespace {ours} only")]
    Elsewhere {
        /// Which.
        ours: Namespace,
    },
}

/// Why a write was not done. Nothing of it was stored, except that after
/// [`Unavailable`](Self::Unavailable) the outcome is open, and after
/// [`Partly`](Self::Partly) some of it stands.
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
    /// The cluster does not take these rules.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
    /// The cluster's admission or a quota does not let this through.
    #[error("{0}")]
    Denied(String),
    /// The controller itself lacks a permission in the cluster.
    #[error("{reason}")]
    NotAllowed {
        /// What it may not do.
        what: String,
        /// What the API server says.
        reason: String,
    },
    /// The cluster does not know what a rule is.
    #[error("the cluster has no {definition}")]
    NoDefinition {
        /// The name of the definition.
        definition: &'static str,
    },
    /// The API server has too much to do.
    #[error("the API server asks to wait")]
    Throttled {
        /// For how long.
        wait: Duration,
    },
    /// It failed half-way, and what had been done could not all be undone.
    #[error("{cause}; what had been done by then could not be undone: {}", .left.join(", "))]
    Partly {
        /// Each rule that is not as it was before, and how it was left.
        left: Vec<String>,
        /// Why it failed.
        cause: Box<WriteError>,
    },
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
