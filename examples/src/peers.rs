//! Calling other services, always through the sidecar.
//!
//! A peer's address is the sidecar's plus the peer's name; which instance answers is none of
//! the caller's business. What identifies the user and the request travels along.

use std::convert::Infallible;
use std::sync::Once;
use std::time::Duration;

use axum::extract::FromRequestParts;
use clap::Args;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::de::DeserializeOwned;

/// Headers handed on from the request being served to the requests made for it.
const PASSED_ON: [HeaderName; 3] = [
    header::COOKIE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
];

/// An answer above this size is not read.
const MAX_ANSWER: usize = 256 * 1024;

/// Where the sidecar is.
#[derive(Debug, Clone, Args)]
pub struct Sidecar {
    /// Address of the sidecar, through which all other services are called
    #[arg(long, env = "PROXY_URL", default_value = "http://localhost:6379")]
    pub proxy_url: String,
}

/// Why a peer gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No connection to the sidecar, or it broke.
    #[error("{service} could not be called")]
    Call {
        /// The service called.
        service: &'static str,
        /// What the HTTP client says.
        #[source]
        source: reqwest::Error,
    },
    /// It took longer than the caller was ready to wait.
    #[error("{service} did not answer within {patience:?}")]
    TooLate {
        /// The service called.
        service: &'static str,
        /// How long the caller waited.
        patience: Duration,
    },
    /// It answered with an error.
    #[error("{service} answered {status}")]
    Status {
        /// The service called.
        service: &'static str,
        /// Its answer.
        status: StatusCode,
    },
    /// The answer was too long, or not what the caller expected.
    #[error("{service} answered something unexpected: {reason}")]
    Body {
        /// The service called.
        service: &'static str,
        /// What was wrong with it.
        reason: String,
    },
}

/// The headers of the request being served that go along with every request made for it.
#[derive(Debug, Clone, Default)]
pub struct Caller(HeaderMap);

impl Caller {
    /// Picks the headers to pass on.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut passed = HeaderMap::new();
        for name in PASSED_ON {
            for value in headers.get_all(&name) {
                passed.append(name.clone(), value.clone());
            }
        }
        Self(passed)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// The other services, as seen through the sidecar. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Peers {
    http: reqwest::Client,
    proxy_url: String,
}

impl Peers {
    /// Peers behind the sidecar.
    pub fn new(sidecar: &Sidecar) -> Self {
        Self {
            http: http_client(),
            proxy_url: sidecar.proxy_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Gets `path` of `service` and reads the answer as JSON, all within `patience`.
    ///
    /// # Errors
    /// When that fails; nothing is tried twice.
    pub async fn get<T: DeserializeOwned>(
        &self,
        service: &'static str,
        path: &str,
        caller: &Caller,
        patience: Duration,
    ) -> Result<T, PeerError> {
        let call = self
            .http
            .get(format!("{}/{service}/{path}", self.proxy_url));
        let answer = answer(service, call.headers(caller.0.clone()));
        let body = tokio::time::timeout(patience, answer)
            .await
            .map_err(|_| PeerError::TooLate { service, patience })??;
        serde_json::from_slice(&body).map_err(|e| PeerError::Body {
            service,
            reason: e.to_string(),
        })
    }
}

async fn answer(
    service: &'static str,
    call: reqwest::RequestBuilder,
) -> Result<Vec<u8>, PeerError> {
    let failed = |source| PeerError::Call { service, source };
    let mut response = call.send().await.map_err(failed)?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(PeerError::Status { service, status });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(PeerError::Body {
                service,
                reason: format!("longer than {MAX_ANSWER} bytes"),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An HTTP client for plain HTTP that obeys no `http_proxy`: everything it is sent to is named
/// outright. It trusts no certificates, so it can also be made where none are installed.
pub fn http_client() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error says that a provider is installed already, which is all that is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .expect("a TLS provider is installed and no certificates are looked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_who_calls_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", "a=b; user=jason".parse().unwrap());
        headers.insert("x-request-id", "r1".parse().unwrap());
        headers.insert("traceparent", "00-1-2-01".parse().unwrap());
        headers.insert("authorization", "secret".parse().unwrap());
        headers.insert("host", "gateway".parse().unwrap());
        let Caller(passed) = Caller::of(&headers);
        assert_eq!(passed.len(), 3);
        assert_eq!(passed["cookie"], "a=b; user=jason");
        assert_eq!(passed["x-request-id"], "r1");
        assert_eq!(passed["traceparent"], "00-1-2-01");
    }
}
