//! What the handlers are given of a request, and how the document describes it.

use std::sync::Arc;

use a8_common::http::{Reply, Watcher};
use a8_common::watch::server::End;
use axum::extract::{FromRequestParts, Query as Parameters};
use axum::{Extension, RequestPartsExt};
use http::HeaderMap;
use http::request::Parts;
use utoipa::{IntoParams, IntoResponses};

use super::query::Query;
use super::reply::{self, ErrorBody};
use crate::rulebook::{RuleBook, Shelf};

/// A request of somebody who may make it, and the rules that it is about.
pub(super) struct Call {
    pub(super) book: Arc<RuleBook>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) headers: HeaderMap,
    /// When a stream that answers it ends.
    pub(super) end: End,
    parameters: Vec<(String, String)>,
}

impl Call {
    /// The parameters, of which there may only be those `known`.
    pub(super) fn query(&self, known: &'static [&'static str]) -> Result<Query, Reply> {
        Query::parse(&self.parameters, known)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Reply> {
        let Watcher { namespace, end } = Watcher::from_request_parts(parts, state).await?;
        let parameters = parts.extract::<Parameters<Vec<(String, String)>>>().await;
        let Parameters(parameters) = parameters.map_err(|e| reply::bad(e.body_text()))?;
        let book = parts.extract::<Extension<Arc<RuleBook>>>().await;
        let Extension(book) = book.map_err(|_| Reply::internal())?;
        Ok(Self {
            shelf: book.shelf(&namespace).map_err(reply::shelf)?,
            book,
            headers: parts.headers.clone(),
            end,
            parameters,
        })
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes parameters")]
pub(super) struct Filters {
    /// Rules with one of these ids
    #[param(required = false)]
    id: Vec<String>,
    /// Rules that carry all of these tags
    #[param(required = false)]
    tag: Vec<String>,
    /// Rules for one of these services
    #[param(required = false)]
    destination: Vec<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes parameters")]
pub(super) struct Trial {
    /// Only check; the answer is what would be stored or deleted
    #[param(required = false)]
    dry_run: bool,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes parameters")]
pub(super) struct Condition {
    /// The revision in quotes, or the `ETag` of a list, that this builds on; `*` for any
    #[param(
        required = false,
        rename = "If-Match",
        pattern = r#"^(\*|"?[0-9]{1,19}"?|(W/)?"[!#-~]*-[0-9]{1,19}")$"#
    )]
    state: String,
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
    /// Not the caller's namespace, or not over HTTPS
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// The controller's account in the cluster lacks a permission, which is named
    #[response(status = 502)]
    NotAllowed(ErrorBody),
    /// The store is away or has not been read yet: try again after `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// How a request with a body may fail, beside [`Failures`].
#[derive(IntoResponses)]
#[allow(dead_code, reason = "describes answers")]
pub(super) enum BodyFailures {
    /// The body is larger than 1 MiB
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not JSON
    #[response(status = 415)]
    NotJson(ErrorBody),
}
