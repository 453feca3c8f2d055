//! `/v1/rules/routes` and `/v1/rules/actions`: the rules of one kind, by destination.

use std::collections::BTreeMap;

use a8_common::http::{IfMatch, Known, Reply};
use a8_common::rule::Rule;
use a8_common::watch::etag;
use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::call::{Call, Condition, Failures, Filters, Trial};
use super::query;
use super::reply::{self, ErrorBody};
use super::rules::{RuleList, listed, removed};
use crate::rulebook::{Kind, Selection};

/// Rules by the service that they are about, in the order in which they are tried.
#[derive(Serialize, ToSchema)]
struct RulesByService<'a> {
    services: BTreeMap<&'a str, Vec<&'a Rule>>,
}

/// List routing rules by destination
#[utoipa::path(
    get, path = "/v1/rules/routes", tag = "rules", params(Filters, Known),
    responses(
        (status = 200, body = RulesByService), (status = 304, description = "The caller has it already"),
        (status = 404, body = ErrorBody, description = "An id that was asked for is not there"), Failures
    )
)]
pub(super) async fn routes(call: Call) -> Result<Response, Reply> {
    grouped(&call, Kind::Route)
}

/// List action rules by destination
#[utoipa::path(
    get, path = "/v1/rules/actions", tag = "rules", params(Filters, Known),
    responses(
        (status = 200, body = RulesByService), (status = 304, description = "The caller has it already"),
        (status = 404, body = ErrorBody, description = "An id that was asked for is not there"), Failures
    )
)]
pub(super) async fn actions(call: Call) -> Result<Response, Reply> {
    grouped(&call, Kind::Action)
}

/// List the routing rules of a destination
#[utoipa::path(
    get, path = "/v1/rules/routes/{destination}", tag = "rules",
    params(("destination" = String, Path), Known),
    responses(
        (status = 200, body = RuleList), (status = 304, description = "The caller has it already"), Failures
    )
)]
pub(super) async fn routes_to(call: Call, to: Path<String>) -> Result<Response, Reply> {
    list_to(&call, Kind::Route, to)
}

/// List the action rules of a destination
#[utoipa::path(
    get, path = "/v1/rules/actions/{destination}", tag = "rules",
    params(("destination" = String, Path), Known),
    responses(
        (status = 200, body = RuleList), (status = 304, description = "The caller has it already"), Failures
    )
)]
pub(super) async fn actions_on(call: Call, on: Path<String>) -> Result<Response, Reply> {
    list_to(&call, Kind::Action, on)
}

/// Delete the routing rules of a destination
#[utoipa::path(
    delete, path = "/v1/rules/routes/{destination}", tag = "rules",
    params(("destination" = String, Path), Trial, Condition),
    responses(
        (status = 200, description = "Without a body; of a dry run, the ids that would be deleted"),
        (status = 412, body = ErrorBody, description = "The rules have changed meanwhile"), Failures
    )
)]
pub(super) async fn remove_routes_to(
    call: Call,
    condition: IfMatch,
    to: Path<String>,
) -> Result<Response, Reply> {
    remove_to(&call, &condition, Kind::Route, to).await
}

/// Delete the action rules of a destination
#[utoipa::path(
    delete, path = "/v1/rules/actions/{destination}", tag = "rules",
    params(("destination" = String, Path), Trial, Condition),
    responses(
        (status = 200, description = "Without a body; of a dry run, the ids that would be deleted"),
        (status = 412, body = ErrorBody, description = "The rules have changed meanwhile"), Failures
    )
)]
pub(super) async fn remove_actions_on(
    call: Call,
    condition: IfMatch,
    on: Path<String>,
) -> Result<Response, Reply> {
    remove_to(&call, &condition, Kind::Action, on).await
}

fn of(kind: Kind, Path(destination): Path<String>) -> Selection {
    Selection {
        destinations: vec![destination],
        kind: Some(kind),
        ..Selection::default()
    }
}

fn list_to(call: &Call, kind: Kind, destination: Path<String>) -> Result<Response, Reply> {
    call.query(query::NONE)?;
    listed(call, of(kind, destination))
}

async fn remove_to(
    call: &Call,
    condition: &IfMatch,
    kind: Kind,
    destination: Path<String>,
) -> Result<Response, Reply> {
    let mode = call.query(query::WRITE)?.mode;
    removed(call, &of(kind, destination), condition, mode).await
}

fn grouped(call: &Call, kind: Kind) -> Result<Response, Reply> {
    let mut selection = call.query(query::FILTERS)?.selection;
    selection.kind = Some(kind);
    let now = call.shelf.snapshot();
    let unknown = selection.unknown(|id| now.items.contains_key(id));
    if !unknown.is_empty() {
        return Err(reply::unknown(&unknown));
    }
    etag::answer(&now, &call.headers, || {
        let mut services: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in now.items.values().filter(|rule| selection.takes(rule)) {
            services
                .entry(rule.destination().as_str())
                .or_default()
                .push(rule);
        }
        for rules in services.values_mut() {
            rules.sort_unstable_by(|a, b| a.order(b));
        }
        Ok(Json(RulesByService { services }).into_response())
    })
}
