//! Who calls: the namespace that a request acts in.

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;

use super::Reply;
use super::observe::server;
use crate::auth::AuthError;
use crate::model::Namespace;

/// The namespace of an authenticated request. A handler that takes it is not run for anybody
/// else; it must stand before the extractor of the body, so that a stranger's body is not
/// even read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Namespace);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let namespace = server(parts)?.auth.authenticate(&parts.headers)?;
        Ok(Self(namespace))
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
