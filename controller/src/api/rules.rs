//! `/v1/rules`: the rules of a namespace, as one collection.

use std::sync::Arc;

use a8_common::http::{Caller, IfMatch, JsonBody, Reply};
use a8_common::model::{Revision, RuleId};
use a8_common::rule::{self, Ids, Rule};
use a8_common::task::Stop;
use axum::extract::Query as Parameters;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{self, Query};
use super::reply::{self, ErrorBody};
use crate::rulebook::{Mode, RuleBook, Selection, Shelf};

pub(super) type Pairs = Parameters<Vec<(String, String)>>;
pub(super) type Book = Extension<Arc<RuleBook>>;

/// Rules and where they stand.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleList<'a> {
    pub(super) rules: Vec<&'a Rule>,
    /// The revision of the namespace.
    #[schema(value_type = u64)]
    pub(super) revision: Revision,
}

/// Rules to be stored
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what is sent")]
struct RuleSet {
    rules: Vec<Rule>,
}

/// The ids of rules.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleIds {
    #[schema(value_type = Vec<String>)]
    ids: Vec<RuleId>,
}

/// List or watch rules
///
/// With `watch=true` the answer is `application/x-ndjson`: the whole state, then every change
/// as one line.
#[utoipa::path(
    get, path = "/v1/rules", tag = "rules",
    params(
        ("id" = Option<Vec<String>>, Query, description = "Rules with one of these ids"),
        ("tag" = Option<Vec<String>>, Query, description = "Rules that carry all of these tags"),
        ("destination" = Option<Vec<String>>, Query, description = "Rules for one of these services"),
        ("watch" = Option<bool>, Query, description = "Go on with every change"),
        ("epoch" = Option<String>, Query, description = "Watch: the life of the data that was seen"),
        ("revision" = Option<u64>, Query, description = "Watch: the revision that was seen last"),
    ),
    responses(
        (status = 200, body = RuleList),
        (status = 304, description = "The caller has it already (If-None-Match)"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "An id that was asked for is not there"),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn list(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    Extension(book): Book,
    Extension(stop): Extension<Stop>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let query = Query::parse(&parameters, query::LIST)?;
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    if query.watch {
        let outlet = shelf.outlet(query.selection);
        let stream = outlet.watch(query.place.as_ref(), stop);
        return stream.map_err(reply::view_not_loaded);
    }
    listed(&shelf, query.selection, &headers)
}

/// A plain list.
pub(super) fn listed(
    shelf: &Shelf,
    selection: Selection,
    headers: &HeaderMap,
) -> Result<Response, Reply> {
    let now = shelf.snapshot();
    let unknown = selection.unknown(|id| now.items.contains_key(id));
    if !unknown.is_empty() {
        return Err(reply::unknown(&unknown));
    }
    let list = shelf.outlet(selection).list(headers);
    list.map_err(reply::view_not_loaded)
}

/// Store rules
///
/// All of them, under one new revision, or none. A rule without an id is given one; a rule
/// whose id is there already replaces it. Two rules of one request with the same id are
/// refused.
#[utoipa::path(
    post, path = "/v1/rules", tag = "rules",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only check; the answer is what would be stored"),
        ("If-Match" = Option<String>, Header, description = "The revision, or ETag, that this builds on"),
    ),
    request_body = RuleSet,
    responses(
        (status = 201, body = RuleIds),
        (status = 200, body = RuleList, description = "Of a dry run"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody, description = "The namespace is full"),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn add(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    condition: IfMatch,
    Extension(book): Book,
    body: JsonBody,
) -> Result<Response, Reply> {
    let mode = Query::parse(&parameters, query::WRITE)?.mode;
    let rules = rules_of(&body, Ids::Make)?;
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    let added = book.add(&shelf, &rules, &condition, mode).await;
    let revision = added.map_err(reply::write)?;
    Ok(written(&shelf, mode, &rules, revision, || {
        let ids = rules.iter().map(|rule| rule.id().clone()).collect();
        (StatusCode::CREATED, Json(RuleIds { ids })).into_response()
    }))
}

/// Replace rules that are there
///
/// All of them, under one new revision, or none.
#[utoipa::path(
    put, path = "/v1/rules", tag = "rules",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only check; the answer is what would be stored"),
        ("If-Match" = Option<String>, Header, description = "The revision, or ETag, that this builds on"),
    ),
    request_body = RuleSet,
    responses(
        (status = 200, description = "Without a body; of a dry run, what would be stored"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "An id is not there; nothing changed"),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn update(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    condition: IfMatch,
    Extension(book): Book,
    body: JsonBody,
) -> Result<Response, Reply> {
    let mode = Query::parse(&parameters, query::WRITE)?.mode;
    let rules = rules_of(&body, Ids::Require)?;
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    let updated = book.update(&shelf, &rules, &condition, mode).await;
    let revision = updated.map_err(reply::write)?;
    let done = || StatusCode::OK.into_response();
    Ok(written(&shelf, mode, &rules, revision, done))
}

/// Delete rules
///
/// Those that the parameters choose; without any, all of the namespace.
#[utoipa::path(
    delete, path = "/v1/rules", tag = "rules",
    params(
        ("id" = Option<Vec<String>>, Query, description = "Rules with one of these ids"),
        ("tag" = Option<Vec<String>>, Query, description = "Rules that carry all of these tags"),
        ("destination" = Option<Vec<String>>, Query, description = "Rules for one of these services"),
        ("dry_run" = Option<bool>, Query, description = "Only check; the answer is what would be deleted"),
        ("If-Match" = Option<String>, Header, description = "The revision, or ETag, that this builds on"),
    ),
    responses(
        (status = 200, description = "Without a body; of a dry run, the ids that would be deleted"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "An id is not there; nothing changed"),
        (status = 412, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn remove(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    condition: IfMatch,
    Extension(book): Book,
) -> Result<Response, Reply> {
    let Query {
        selection, mode, ..
    } = Query::parse(&parameters, query::REMOVE)?;
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    removed(&book, &shelf, &selection, &condition, mode).await
}

/// Deletes what `selection` takes.
pub(super) async fn removed(
    book: &RuleBook,
    shelf: &Shelf,
    selection: &Selection,
    condition: &IfMatch,
    mode: Mode,
) -> Result<Response, Reply> {
    let removed = book.remove(shelf, selection, condition, mode).await;
    let removed = removed.map_err(reply::write)?;
    Ok(match mode {
        Mode::Commit => reply::tagged(shelf, removed.revision, StatusCode::OK),
        Mode::DryRun => Json(RuleIds { ids: removed.ids }).into_response(),
    })
}

fn rules_of(body: &JsonBody, ids: Ids) -> Result<Vec<Rule>, Reply> {
    let rules = rule::parse_json_with(&body.0, ids).map_err(reply::faults)?;
    match rules.is_empty() {
        true => Err(reply::no_rules()),
        false => Ok(rules),
    }
}

/// The answer to a write that led to `revision`, or was only tried out there.
fn written(
    shelf: &Shelf,
    mode: Mode,
    rules: &[Rule],
    revision: Revision,
    done: impl FnOnce() -> Response,
) -> Response {
    match mode {
        Mode::Commit => reply::tagged(shelf, revision, done()),
        Mode::DryRun => {
            let rules = rules.iter().collect();
            Json(RuleList { rules, revision }).into_response()
        }
    }
}
