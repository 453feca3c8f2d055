//! A control-plane server as its clients know it: one or several base URLs, a token, and the
//! certificates it is trusted by. Used by the watch client and by the registration client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Certificate, RequestBuilder, Response, Url};
use serde::Deserialize;

use crate::config::Secret;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of an error's body is read.
const MAX_ERROR_BYTES: usize = 4096;
/// The longest pause that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base URLs of equal servers; the first that works is kept to.
    pub urls: Vec<Url>,
    /// The value of `Authorization`, as [`bearer`] makes it.
    pub authorization: Option<HeaderValue>,
    /// The only authorities to trust, in PEM; without it those of the system.
    pub ca_cert_file: Option<PathBuf>,
}

/// Why a text is not a list of base URLs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// There is not one URL in it.
    #[error("must name at least one URL")]
    Empty,
    /// One of them is none.
    #[error("{given:?} is not an http or https URL: {reason}")]
    Invalid {
        /// The piece that is no URL.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// One of them has a user or a password in it, which logs would show.
    #[error("must not hold a user or a password; use a token")]
    Credentials,
}

/// Reads base URLs, separated by commas.
///
/// # Errors
/// [`UrlError`] names the first piece that is not a URL.
pub fn parse_urls(list: &str) -> Result<Vec<Url>, UrlError> {
    let pieces = list.split(',').map(str::trim).filter(|p| !p.is_empty());
    let urls = pieces.map(parse_url).collect::<Result<Vec<_>, _>>()?;
    if urls.is_empty() {
        return Err(UrlError::Empty);
    }
    Ok(urls)
}

fn parse_url(given: &str) -> Result<Url, UrlError> {
    let invalid = |reason: String| UrlError::Invalid {
        given: given.to_owned(),
        reason,
    };
    let url = Url::parse(given).map_err(|e| invalid(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("the scheme is {}", url.scheme())));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("a base URL has no query".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::Credentials);
    }
    Ok(url)
}

/// The token has a character that no header may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token has a character that no header may have")]
pub struct TokenError;

/// The value of `Authorization` for a bearer token. It is never printed.
///
/// # Errors
/// [`TokenError`] when the token cannot stand in a header.
pub fn bearer(token: &Secret) -> Result<HeaderValue, TokenError> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| TokenError)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No URL was given.
    #[error("no URL was given")]
    NoUrl,
    /// The certificates could not be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificates are none.
    #[error("{} holds no PEM certificate that can be used", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// TLS could not be set up.
    #[error("TLS cannot be set up; where the system has no authorities, a ca_cert_file names some")]
    Client(#[source] reqwest::Error),
}

/// What all our clients of HTTP have in common: they go straight to whom they ask, trust the
/// authorities in a file or else those of the system, and follow no redirection. Without
/// `https` no authority is needed.
///
/// # Errors
/// When the certificates cannot be used.
pub fn client(
    ca_cert_file: Option<&Path>,
    https: bool,
) -> Result<reqwest::ClientBuilder, OpenError> {
    // A provider that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        // This process may itself be the proxy that the environment names.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("amalgam8/", env!("CARGO_PKG_VERSION")));
    Ok(match ca_cert_file {
        Some(path) => builder.tls_certs_only(certificates(path)?),
        // A host without any installed authority must still reach a plain server.
        None if !https => builder.tls_certs_only([]),
        None => builder,
    })
}

/// A refusal, or no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer came.
    #[error("no answer from {url}: {reason}")]
    Unreachable {
        /// Who did not answer.
        url: Arc<Url>,
        /// What happened, with its causes.
        reason: String,
    },
    /// The connection stands, but no answer came in time.
    #[error("no answer from {url} within {patience:?}")]
    Slow {
        /// Who did not answer.
        url: Arc<Url>,
        /// How long was waited.
        patience: Duration,
    },
    /// The answer is an error.
    #[error("{url} answered {status}{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// Who answered.
        url: Arc<Url>,
        /// The status.
        status: StatusCode,
        /// What the server said, for people.
        text: String,
        /// When to come back, if the server said so.
        retry_after: Option<Duration>,
    },
}

impl Error {
    /// Whether the same request may do better later, or elsewhere.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Slow { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
        }
    }
}

/// A text with all its causes, for people. A cause that its effect already tells is left out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        let more = e.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = e.source();
    }
    text
}

/// A client of one server, or of several equal ones. Clones share which one is current.
#[derive(Clone)]
pub struct Peer {
    http: reqwest::Client,
    urls: Arc<[Arc<Url>]>,
    current: Arc<AtomicUsize>,
}

impl Peer {
    /// Reads the certificates and sets up TLS; connects to nothing yet.
    ///
    /// # Errors
    /// [`OpenError`] says which part of the configuration is of no use.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        if config.urls.is_empty() {
            return Err(OpenError::NoUrl);
        }
        let mut headers = HeaderMap::new();
        if let Some(authorization) = &config.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let https = config.urls.iter().any(|url| url.scheme() == "https");
        let builder = client(config.ca_cert_file.as_deref(), https)?;
        Ok(Self {
            http: builder
                .default_headers(headers)
                .build()
                .map_err(OpenError::Client)?,
            urls: config.urls.iter().cloned().map(Arc::new).collect(),
            current: Arc::default(),
        })
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.urls.len()
    }

    /// Whether there are none; never true.
    pub fn is_empty(&self) -> bool {
        self.urls.is_empty()
    }

    /// The one to ask, as an index.
    pub fn current(&self) -> usize {
        self.current.load(Ordering::Relaxed) % self.urls.len()
    }

    /// Goes on to the next one, unless somebody else already left `from`.
    pub fn leave(&self, from: usize) {
        let next = (from + 1) % self.urls.len();
        let _ = self
            .current
            .compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The base URL at `index`.
    pub fn url(&self, index: usize) -> &Arc<Url> {
        &self.urls[index % self.urls.len()]
    }

    /// A request to `path`, which begins with a slash, of the server at `index`.
    pub fn request(&self, index: usize, method: Method, path: &str) -> RequestBuilder {
        let mut url = Url::clone(self.url(index));
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        self.http.request(method, url)
    }

    /// Sends `request` to the server at `index` and waits at most `patience` for the head of
    /// the answer.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::Slow`]; whatever is answered is given back.
    pub async fn send(
        &self,
        index: usize,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<Response, Error> {
        let url = || self.url(index).clone();
        match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(e)) => {
                let reason = with_causes(&e.without_url());
                Err(Error::Unreachable { url: url(), reason })
            }
            Err(_) => Err(Error::Slow {
                url: url(),
                patience,
            }),
        }
    }

    /// Makes an error of an answer that is one.
    pub async fn refusal(&self, index: usize, mut reply: Response) -> Error {
        let status = reply.status();
        let retry_after = reply
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
        let mut body = Vec::new();
        let read = async {
            while let Ok(Some(chunk)) = reply.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() >= MAX_ERROR_BYTES {
                    break;
                }
            }
        };
        // A body that does not come costs the text only.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, read).await;
        let text = error_text(&body);
        Error::Refused {
            url: self.url(index).clone(),
            status,
            text,
            retry_after,
        }
    }
}

/// Reads a body of at most `max` bytes; `None` when it is longer.
///
/// # Errors
/// When the connection breaks before the end.
pub async fn read_body(mut reply: Response, max: usize) -> Result<Option<Bytes>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await? {
        if body.len() + chunk.len() > max {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body.into()))
}

/// What an error's body says. Both servers write `error`, the controller `description` too,
/// older registries `Error`.
fn error_text(body: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(alias = "Error")]
        error: Option<String>,
        description: Option<String>,
    }
    let said: Body = serde_json::from_slice(body).unwrap_or_default();
    let text = match (said.error, said.description) {
        (Some(error), Some(more)) if !more.is_empty() => format!("{error}: {more}"),
        (Some(error), _) => error,
        (None, Some(more)) => more,
        (None, None) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    let line = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(line).take(256).collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, OpenError> {
    let pem = std::fs::read(path).map_err(|source| OpenError::Read {
        path: path.to_owned(),
        source,
    })?;
    let none = |source| OpenError::Certificate {
        path: path.to_owned(),
        source,
    };
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| none(Some(e)))?;
    if found.is_empty() {
        return Err(none(None));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
