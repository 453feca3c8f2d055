//! The way to a cluster.

use std::path::Path;
use std::time::Duration;

use kube::Client;
use kube::config::{
    AuthInfo, Config as Connection, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};

use super::config::Config;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an API server may be silent. A watch is told of the time by a bookmark about every
/// minute; one that is not told anything is begun anew where it stood.
const READ_TIMEOUT: Duration = Duration::from_secs(100);
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the service account of a pod has its token. kube reads it again before it expires.
const TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// And the authorities of its API server.
const CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// A cluster, and the namespace in it that is ours.
#[derive(Clone)]
pub struct Cluster {
    /// Speaks with the API server.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// Why there is no way to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL cannot be used.
    #[error("{url} is not a URL of an API server")]
    Url {
        /// Which.
        url: String,
    },
    /// The process is in a pod whose service account is not usable.
    #[error("the service account of this pod is not usable")]
    InCluster(#[source] InClusterError),
    /// There is no pod around us, and no usable kubeconfig.
    #[error("not in a cluster, and there is no usable kubeconfig: name the API server's URL")]
    Kubeconfig(#[source] KubeconfigError),
    /// The certificates or the token cannot be used.
    #[error("cannot set up the client")]
    Client(#[source] Box<kube::Error>),
}

impl Cluster {
    /// Finds the way. Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(config: &Config) -> Result<Self, OpenError> {
        let in_pod = Path::new(TOKEN_FILE).exists();
        let mut connection = match &config.url {
            Some(url) => explicit(url.as_str(), config, in_pod)?,
            None if in_pod => Connection::incluster().map_err(OpenError::InCluster)?,
            None => Connection::from_kubeconfig(&KubeConfigOptions::default())
                .await
                .map_err(OpenError::Kubeconfig)?,
        };
        if let Some(token) = &config.token {
            connection.auth_info = AuthInfo {
                token: Some(token.expose().to_owned().into()),
                ..AuthInfo::default()
            };
        }
        if let Some(file) = &config.ca_cert_file {
            connection.root_cert = None;
            connection.root_cert_file = Some(file.clone());
        }
        Self::with(connection, config.namespace.clone())
    }

    /// A cluster by the kubeconfig, or by one of its contexts; in a pod without a kubeconfig
    /// the cluster that it is in.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn of_kubeconfig(
        context: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, OpenError> {
        let options = in_context(context);
        let connection = match Connection::from_kubeconfig(&options).await {
            Ok(connection) => connection,
            Err(_) if context.is_none() && Path::new(TOKEN_FILE).exists() => {
                Connection::incluster().map_err(OpenError::InCluster)?
            }
            Err(e) => return Err(OpenError::Kubeconfig(e)),
        };
        Self::with(connection, namespace.map(str::to_owned))
    }

    /// The same by the kubeconfig of this name.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn of_kubeconfig_file(
        file: &Path,
        context: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Self, OpenError> {
        let options = in_context(context);
        let read = Kubeconfig::read_from(file).map_err(OpenError::Kubeconfig)?;
        let connection = Connection::from_custom_kubeconfig(read, &options).await;
        let connection = connection.map_err(OpenError::Kubeconfig)?;
        Self::with(connection, namespace.map(str::to_owned))
    }

    fn with(mut connection: Connection, namespace: Option<String>) -> Result<Self, OpenError> {
        connection.connect_timeout = Some(CONNECT_TIMEOUT);
        connection.read_timeout = Some(READ_TIMEOUT);
        connection.write_timeout = Some(WRITE_TIMEOUT);
        // It would go on for minutes, and nobody would be told why.
        connection.default_retry = false;
        let namespace = namespace.unwrap_or_else(|| connection.default_namespace.clone());
        let client = Client::try_from(connection).map_err(|e| OpenError::Client(Box::new(e)))?;
        Ok(Self { client, namespace })
    }
}

fn in_context(context: Option<&str>) -> KubeConfigOptions {
    KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    }
}

/// A URL that was given; what a pod knows besides is taken from there.
fn explicit(url: &str, config: &Config, in_pod: bool) -> Result<Connection, OpenError> {
    let parsed = url.parse().map_err(|_| OpenError::Url {
        url: url.to_owned(),
    })?;
    let mut connection = Connection::new(parsed);
    if in_pod {
        if config.token.is_none() {
            connection.auth_info.token_file = Some(TOKEN_FILE.to_owned());
        }
        connection.root_cert_file = Some(CA_FILE.into());
    }
    Ok(connection)
}
