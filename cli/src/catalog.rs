//! The port through which commands read instances, and register them: a registry, or a cluster
//! itself, whose instances are its pods.

use std::io::Write;

use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::Servers;
use crate::client::{Call, Client};
#[cfg(feature = "kubernetes")]
use crate::cluster;
use crate::error::Error;

/// Where the instances are.
pub(crate) enum Catalog {
    Registry(Client),
    #[cfg(feature = "kubernetes")]
    Cluster(a8_common::kubernetes::Cluster),
}

/// Which instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that take requests.
    Usual,
    /// Those that do not, too.
    All,
}

impl Catalog {
    /// The catalog that `servers` mean. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::NoUrl`], [`Error::BadUrl`] or [`Error::NoCluster`].
    pub(crate) async fn open(servers: &Servers) -> Result<Self, Error> {
        #[cfg(feature = "kubernetes")]
        if servers.place.is_meant() {
            return cluster::open(servers).await.map(Self::Cluster);
        }
        Client::registry(servers).map(Self::Registry)
    }

    /// The instances: `{instances}`.
    ///
    /// # Errors
    /// [`Error`], as the catalog has it.
    pub(crate) async fn list(&self, which: Which, notes: &mut dyn Write) -> Result<Value, Error> {
        match self {
            Self::Registry(client) => {
                let mut call = Call::new(Method::GET, "/api/v1/instances");
                if which == Which::All {
                    call.query = vec![("status", "ALL")];
                }
                client.send(call, notes).await
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(cluster) => cluster::instances::list(cluster).await,
        }
    }

    /// Refuses what does not go: nobody can register an instance with a cluster.
    ///
    /// # Errors
    /// [`Error::NotThere`].
    pub(crate) fn takes_instances(&self) -> Result<(), Error> {
        match self {
            Self::Registry(_) => Ok(()),
            #[cfg(feature = "kubernetes")]
            Self::Cluster(_) => Err(Error::NotThere(
                "the instances of a cluster are its pods, which cannot be imported; --only rules \
                 leaves them out",
            )),
        }
    }

    /// Registers an instance.
    ///
    /// # Errors
    /// [`Error`], as the catalog has it.
    pub(crate) async fn register(
        &self,
        body: &RawValue,
        notes: &mut dyn Write,
    ) -> Result<(), Error> {
        self.takes_instances()?;
        match self {
            Self::Registry(client) => {
                let mut call = Call::new(Method::POST, "/api/v1/instances");
                call.body = Some(body);
                let _: Value = client.send(call, notes).await?;
                Ok(())
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(_) => Ok(()),
        }
    }
}
