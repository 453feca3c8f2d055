//! From a configuration to a running server.

use std::sync::Arc;

use a8_common::host;
use a8_common::kubernetes;
use a8_common::source::Discovery;
use a8_common::task::Stop;

use crate::api;
use crate::catalog::Catalog;
use crate::config::Config;

/// Why the registry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no port or no store to serve from.
    #[error(transparent)]
    Host(#[from] host::StartError),
    /// There is no way to the cluster.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::OpenError),
}

/// Serves until `stop` fires and what was in flight has ended.
///
/// # Errors
/// [`StartError`].
pub async fn serve(config: Config, stop: Stop) -> Result<(), StartError> {
    let Config {
        host,
        limits,
        cluster,
    } = &config;
    let cluster = match cluster {
        Some(cluster) => open(cluster).await?,
        None => None,
    };
    let served = host::serve(host, api::shape, stop, |ground| {
        let catalog = Catalog::start(ground, *limits, cluster)?;
        Ok(api::router(Arc::new(catalog)))
    });
    Ok(served.await?)
}

#[cfg(feature = "kubernetes")]
async fn open(config: &kubernetes::Config) -> Result<Option<Box<Discovery>>, StartError> {
    let cluster = kubernetes::Cluster::open(config).await?;
    Ok(Some(a8_common::source::kubernetes::instances(cluster)))
}

/// The configuration has refused a cluster.
#[cfg(not(feature = "kubernetes"))]
async fn open(_: &kubernetes::Config) -> Result<Option<Box<Discovery>>, StartError> {
    Ok(None)
}
