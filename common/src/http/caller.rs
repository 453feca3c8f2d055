//! Who calls: the namespace that a request acts in.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::Reply;
use super::observe::server;
use crate::auth::AuthError;
use crate::model::Namespace;
use crate::watch::server::End;

/// The namespace of an authenticated request. A handler that takes it is not run for anybody
/// else; it must stand before the extractor of the body, so that a stranger's body is not
/// even read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Namespace);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let pass = server(parts)?.auth.authenticate(&parts.headers)?;
        Ok(Self(pass.namespace))
    }
}

/// A [`Caller`] whose answer may be a stream: it ends with the server, or with the token that
/// it was asked for with.
#[derive(Debug, Clone)]
pub struct Watcher {
    /// The namespace that the request acts in.
    pub namespace: Namespace,
    /// When the stream ends at the latest.
    pub end: End,
}

impl<S: Sync> FromRequestParts<S> for Watcher {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let server = server(parts)?;
        let pass = server.auth.authenticate(&parts.headers)?;
        Ok(Self {
            namespace: pass.namespace,
            end: End::new(server.stop.clone(), pass.expires),
        })
    }
}

impl From<AuthError> for Reply {
    fn from(e: AuthError) -> Self {
        let status = match e {
            AuthError::NotAdmin => StatusCode::FORBIDDEN,
            AuthError::Ambiguous | AuthError::Header(_) => StatusCode::BAD_REQUEST,
            AuthError::Missing
            | AuthError::Malformed
            | AuthError::TooLong
            | AuthError::Refused
            | AuthError::Expired => StatusCode::UNAUTHORIZED,
        };
        Self::new(status, e.code(), e.to_string())
    }
}
