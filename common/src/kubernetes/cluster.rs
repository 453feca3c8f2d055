//! The way to a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use kube::Client;
use kube::client::{Body, ClientBuilder};
use kube::config::{
    AuthInfo, Config as Connection, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError,
};
use tower::util::{MapRequestLayer, MapResponseLayer};

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

/// A cluster as people name it.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// The kubeconfig; else it is the one that `KUBECONFIG` names, or that of the user.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; else it is the current one.
    pub context: Option<String>,
    /// The namespace; else it is that of the context.
    pub namespace: Option<String>,
    /// Is told of each request and each answer, one line each.
    pub tell: Option<fn(&str)>,
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
        Self::with(connection, config.namespace.clone(), None)
    }

    /// A cluster as people name it. In a pod without a kubeconfig it is the one that the pod is
    /// in, if neither a file nor a context is named. Nothing is asked of the API server yet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn named(named: &Named) -> Result<Self, OpenError> {
        let options = KubeConfigOptions {
            context: named.context.clone(),
            ..KubeConfigOptions::default()
        };
        let connection = match &named.kubeconfig {
            Some(file) => {
                let read = Kubeconfig::read_from(file).map_err(OpenError::Kubeconfig)?;
                Connection::from_custom_kubeconfig(read, &options).await
            }
            None => Connection::from_kubeconfig(&options).await,
        };
        let anywhere = named.kubeconfig.is_none() && named.context.is_none();
        let connection = match connection {
            Err(_) if anywhere && Path::new(TOKEN_FILE).exists() => {
                Connection::incluster().map_err(OpenError::InCluster)?
            }
            other => other.map_err(OpenError::Kubeconfig)?,
        };
        Self::with(connection, named.namespace.clone(), named.tell)
    }

    fn with(
        mut connection: Connection,
        namespace: Option<String>,
        tell: Option<fn(&str)>,
    ) -> Result<Self, OpenError> {
        connection.connect_timeout = Some(CONNECT_TIMEOUT);
        connection.read_timeout = Some(READ_TIMEOUT);
        connection.write_timeout = Some(WRITE_TIMEOUT);
        // It would go on for minutes, and nobody would be told why.
        connection.default_retry = false;
        // Whoever has no authorities of its own here has those of the system, and fails where
        // there are none, as in our images. They are not asked about with a file, nor without TLS.
        let elsewhere = connection.root_cert_file.is_some()
            || connection.cluster_url.scheme() == Some(&Scheme::HTTP);
        if connection.root_cert.is_none() && elsewhere {
            connection.root_cert = Some(Vec::new());
        }
        let namespace = namespace.unwrap_or_else(|| connection.default_namespace.clone());
        let builder = ClientBuilder::try_from(connection);
        let builder = builder.map_err(|e| OpenError::Client(Box::new(e)))?;
        let client = match tell {
            None => builder.build(),
            // Outside of what adds the credentials, which nobody is told.
            Some(tell) => builder
                .with_layer(&MapRequestLayer::new(move |request: Request<Body>| {
                    tell(&format!("> {} {}", request.method(), request.uri()));
                    request
                }))
                .with_layer(&MapResponseLayer::new(move |answer: Response<_>| {
                    tell(&format!("< {}", answer.status()));
                    answer
                }))
                .build(),
        };
        Ok(Self { client, namespace })
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
