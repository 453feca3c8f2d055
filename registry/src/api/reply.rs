//! From the catalog's errors to replies: the one place that chooses status and text.

use std::time::Duration;

use a8_common::http::Reply;
use a8_common::watch::server::NotLoaded as ViewNotLoaded;
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoResponses, ToSchema};

use crate::catalog::{NotLoaded, RegisterError, RenewError};

const SOON: Duration = Duration::from_secs(1);

/// The body of every error reply.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// What is wrong, naming the member.
    pub error: String,
}

/// How any request may fail.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers")]
pub(super) enum Failures {
    /// Something of the request is wrong, and named
    #[response(status = 400)]
    Wrong(ErrorBody),
    /// No token, or not a good one
    #[response(status = 401)]
    Stranger(ErrorBody),
    /// The namespace is full, or not the caller's, or the request did not come over HTTPS, or
    /// the instance is Kubernetes' own
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The store is away or has not been read yet: try again after `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// How this server writes an error.
pub fn shape(reply: &Reply) -> Value {
    json!(ErrorBody {
        error: reply.text().to_owned()
    })
}

pub(super) fn bad(text: impl Into<String>) -> Reply {
    Reply::bad_request("invalid_request", text.into())
}

pub(super) fn not_loaded(_: NotLoaded) -> Reply {
    Reply::unavailable("not_loaded", "the catalog has not been loaded yet", SOON)
}

pub(super) fn view_not_loaded(_: ViewNotLoaded) -> Reply {
    not_loaded(NotLoaded)
}

fn away(e: &(dyn std::error::Error + 'static)) -> Reply {
    Reply::unavailable("store_unavailable", "the store is unavailable", SOON).log(e)
}

pub(super) fn register(e: RegisterError) -> Reply {
    match e {
        RegisterError::NotLoaded(e) => not_loaded(e),
        RegisterError::Full { .. } => Reply::new(StatusCode::FORBIDDEN, "capacity", e.to_string()),
        RegisterError::Contended => Reply::unavailable("contended", e.to_string(), SOON),
        RegisterError::Unwritable(_) | RegisterError::Refused(_) => Reply::internal().log(&e),
        RegisterError::Unavailable(_) => away(&e),
    }
}

pub(super) fn renew(e: RenewError) -> Reply {
    match e {
        RenewError::NotLoaded(e) => not_loaded(e),
        RenewError::OfCluster(_) => Reply::new(StatusCode::FORBIDDEN, "of_cluster", e.to_string()),
        RenewError::Unknown(_) => Reply::new(StatusCode::GONE, "unknown_instance", e.to_string()),
        RenewError::Unavailable(_) => away(&e),
    }
}
