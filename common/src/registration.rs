//! The port through which a service makes itself known: register, renew, deregister.
//!
//! An adapter asks once and says what came of it; when to ask again is the caller's decision,
//! helped by [`Error::retryable`]. The caller of the port is the sidecar's registrar.

pub mod amalgam8;
pub mod memory;

use std::time::Duration;

use async_trait::async_trait;

use crate::model::{Endpoint, InstanceId, Metadata, ServiceName, Status, Tags};
use crate::peer;

/// What an instance says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The service that it is an instance of.
    pub service_name: ServiceName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// How long the registration is to live without a renewal; the registry's default when
    /// absent. Whole seconds count.
    pub ttl: Option<Duration>,
    /// Whether it takes requests.
    pub status: Status,
    /// What rules pick it by.
    pub tags: Tags,
    /// The user's own data.
    pub metadata: Option<Metadata>,
}

/// A registration as the registry granted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The name to renew it by.
    pub id: InstanceId,
    /// How long it lives without a renewal, which may differ from what was asked for.
    pub ttl: Duration,
}

/// Why the registry did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lease has ended, or never was: register again.
    #[error("instance {0} is not registered")]
    Unknown(InstanceId),
    /// The registry could not be reached, or refused.
    #[error(transparent)]
    Peer(#[from] peer::Error),
    /// The registry answered something else than it should.
    #[error("the registry's answer is not understood: {0}")]
    Answer(String),
}

impl Error {
    /// Whether the same request may do better later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::Answer(_) => true,
            Self::Peer(e) => e.retryable(),
        }
    }

    /// The least pause before the next try, where the registry named one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Peer(peer::Error::Refused { retry_after, .. }) => *retry_after,
            Self::Peer(_) | Self::Unknown(_) | Self::Answer(_) => None,
        }
    }
}

/// Where services register. Every call is one question to one server and cancel-safe in this
/// sense: when it is dropped, the registry may or may not have done it, and doing it again is
/// harmless.
#[async_trait]
pub trait Registration: Send + Sync + 'static {
    /// Makes `me` known, or replaces what was known of it.
    ///
    /// # Errors
    /// [`Error::Peer`] or [`Error::Answer`].
    async fn register(&self, me: &Announcement) -> Result<Lease, Error>;

    /// Says that the instance is alive: its lease starts anew.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the lease has ended.
    async fn renew(&self, id: &InstanceId) -> Result<(), Error>;

    /// Takes the instance away. That it was not there is no error.
    ///
    /// # Errors
    /// [`Error::Peer`] when it may still be there.
    async fn deregister(&self, id: &InstanceId) -> Result<(), Error>;
}

#[cfg(test)]
mod tests;
