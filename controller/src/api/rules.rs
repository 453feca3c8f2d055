//! `/v1/rules`: the rules of a namespace, as one collection.

use a8_common::http::{IfMatch, JsonBody, Known, Reply, Watching};
use a8_common::model::{Revision, RuleId};
use a8_common::rule::{self, Ids, Rule};
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{BodyFailures, Call, Condition, Failures, Filters, Trial};
use super::query::{self, Query};
use super::reply::{self, ErrorBody};
use crate::rulebook::{Mode, Selection, Shelf};

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
    #[schema(min_items = 1)]
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
    get, path = "/v1/rules", tag = "rules", params(Filters, Watching, Known),
    responses(
        (status = 200, content((RuleList = "application/json"), (String = "application/x-ndjson")), headers(("ETag" = String))),
        (status = 304, description = "The caller has it already"),
        (status = 404, body = ErrorBody, description = "An id that was asked for is not there"), Failures
    )
)]
pub(super) async fn list(call: Call) -> Result<Response, Reply> {
    let mut query = call.query(query::LIST)?;
    if query.watch {
        let outlet = call.shelf.outlet(query.selection);
        if let Some(place) = &mut query.place {
            outlet.locate(place, call.book.newest()).await;
        }
        let stream = outlet.watch(query.place.as_ref(), call.end);
        return stream.map_err(reply::view_not_loaded);
    }
    listed(&call, query.selection)
}

/// A plain list.
pub(super) fn listed(call: &Call, selection: Selection) -> Result<Response, Reply> {
    let now = call.shelf.snapshot();
    let unknown = selection.unknown(|id| now.items.contains_key(id));
    if !unknown.is_empty() {
        return Err(reply::unknown(&unknown));
    }
    let list = call.shelf.outlet(selection).list(&call.headers);
    list.map_err(reply::view_not_loaded)
}

/// Store rules
///
/// All of them, under one new revision, or none. A rule without an id is given one; a rule
/// whose id is there already replaces it. Two rules of one request with the same id are
/// refused.
#[utoipa::path(
    post, path = "/v1/rules", tag = "rules", params(Trial, Condition), request_body = RuleSet,
    responses(
        (status = 201, body = RuleIds),
        (status = 200, body = RuleList, description = "Of a dry run"),
        (status = 412, body = ErrorBody, description = "The rules have changed meanwhile"),
        Failures, BodyFailures
    )
)]
pub(super) async fn add(call: Call, condition: IfMatch, body: JsonBody) -> Result<Response, Reply> {
    let Call { book, shelf, .. } = &call;
    let mode = call.query(query::WRITE)?.mode;
    let rules = rules_of(&body, Ids::Make)?;
    let added = book.add(shelf, &rules, &condition, mode).await;
    let revision = added.map_err(reply::write)?;
    Ok(written(shelf, mode, &rules, revision, || {
        let ids = rules.iter().map(|rule| rule.id().clone()).collect();
        (StatusCode::CREATED, Json(RuleIds { ids })).into_response()
    }))
}

/// Replace rules that are there
///
/// All of them, under one new revision, or none.
#[utoipa::path(
    put, path = "/v1/rules", tag = "rules", params(Trial, Condition), request_body = RuleSet,
    responses(
        (status = 200, description = "Without a body; of a dry run, what would be stored"),
        (status = 404, body = ErrorBody, description = "An id is not there; nothing changed"),
        (status = 412, body = ErrorBody, description = "The rules have changed meanwhile"),
        Failures, BodyFailures
    )
)]
pub(super) async fn update(
    call: Call,
    condition: IfMatch,
    body: JsonBody,
) -> Result<Response, Reply> {
    let Call { book, shelf, .. } = &call;
    let mode = call.query(query::WRITE)?.mode;
    let rules = rules_of(&body, Ids::Require)?;
    let updated = book.update(shelf, &rules, &condition, mode).await;
    let revision = updated.map_err(reply::write)?;
    let done = || StatusCode::OK.into_response();
    Ok(written(shelf, mode, &rules, revision, done))
}

/// Delete rules
///
/// Those that the parameters choose; without any, all of the namespace.
#[utoipa::path(
    delete, path = "/v1/rules", tag = "rules", params(Filters, Trial, Condition),
    responses(
        (status = 200, description = "Without a body; of a dry run, the ids that would be deleted"),
        (status = 404, body = ErrorBody, description = "An id is not there; nothing changed"),
        (status = 412, body = ErrorBody, description = "The rules have changed meanwhile"), Failures
    )
)]
pub(super) async fn remove(call: Call, condition: IfMatch) -> Result<Response, Reply> {
    let Query {
        selection, mode, ..
    } = call.query(query::REMOVE)?;
    removed(&call, &selection, &condition, mode).await
}

/// Deletes what `selection` takes.
pub(super) async fn removed(
    call: &Call,
    selection: &Selection,
    condition: &IfMatch,
    mode: Mode,
) -> Result<Response, Reply> {
    let Call { book, shelf, .. } = call;
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
