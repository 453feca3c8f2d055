//! Where in its history a set of items is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A point in the history of a namespace: grows with every change and never goes back
/// within one [`Epoch`].
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a store's data. Revisions of two epochs cannot be compared, and an empty
/// answer in a new epoch may be a loss rather than a truth.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// An epoch that no other store has had: 64 random bits.
    pub fn fresh() -> Self {
        Self(format!("{:016x}", fastrand::u64(..)).into())
    }

    /// The epoch that a store or a server named.
    pub fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The epoch as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
