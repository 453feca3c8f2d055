//! The port through which `explain` asks where a request would go: a sidecar, or, in a cluster,
//! the same engine here, over the rules and instances that sidecars would read.

use std::io::Write;

use reqwest::Method;
use serde_json::Value;

use crate::args::{Explain, Servers};
use crate::client::{Call, Client};
#[cfg(feature = "kubernetes")]
use crate::cluster;
use crate::error::Error;

/// Who knows where a request would go.
pub(crate) enum Guide {
    Sidecar(Client),
    #[cfg(feature = "kubernetes")]
    Cluster(a8_common::kubernetes::Cluster),
}

impl Guide {
    /// The guide that the arguments mean. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::BadUrl`] or [`Error::NoCluster`].
    pub(crate) async fn open(servers: &Servers, explain: &Explain) -> Result<Self, Error> {
        #[cfg(feature = "kubernetes")]
        if servers.place.is_meant() {
            return cluster::open(servers).await.map(Self::Cluster);
        }
        Client::sidecar(&explain.sidecar_url, servers.debug).map(Self::Sidecar)
    }

    /// Asks. The answer is that of a sidecar's `/explain`.
    ///
    /// # Errors
    /// [`Error`], as the guide has it.
    pub(crate) async fn ask(
        &self,
        explain: &Explain,
        notes: &mut dyn Write,
    ) -> Result<Value, Error> {
        match self {
            Self::Sidecar(sidecar) => {
                let mut call = Call::new(Method::GET, "/explain");
                let once = [
                    ("from", &explain.from),
                    (if explain.tcp { "tcp" } else { "to" }, &explain.service),
                    ("path", &explain.path),
                ];
                let once = once.into_iter();
                call.query = once
                    .filter_map(|(name, text)| Some((name, text.as_deref()?)))
                    .chain(explain.header.iter().map(|h| ("header", h.as_str())))
                    .collect();
                sidecar.send(call, notes).await
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(cluster) => cluster::explain::ask(cluster, explain, notes).await,
        }
    }
}
