//! `/v1/rules/routes` and `/v1/rules/actions`: the rules of one kind, by destination.

use std::collections::BTreeMap;

use a8_common::http::{Caller, IfMatch, Reply};
use a8_common::model::Namespace;
use a8_common::rule::Rule;
use axum::extract::{Path, Query as Parameters};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::{self, Query};
use super::reply::{self, ErrorBody};
use super::rules::{Book, Pairs, RuleList, listed, removed};
use crate::rulebook::{Kind, Mode, RuleBook, Selection};

/// Rules by the service that they are about, in the order in which they are tried.
#[derive(Serialize, ToSchema)]
struct RulesByService<'a> {
    services: BTreeMap<&'a str, Vec<&'a Rule>>,
}

/// List routing rules by destination
#[utoipa::path(
    get, path = "/v1/rules/routes", tag = "rules",
    params(
        ("id" = Option<Vec<String>>, Query, description = "Rules with one of these ids"),
        ("tag" = Option<Vec<String>>, Query, description = "Rules that carry all of these tags"),
        ("destination" = Option<Vec<String>>, Query, description = "Rules for one of these services"),
    ),
    responses(
        (status = 200, body = RulesByService), (status = 304),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn routes(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    Extension(book): Book,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    grouped(&book, &namespace, &parameters, Kind::Route, &headers)
}

/// List action rules by destination
#[utoipa::path(
    get, path = "/v1/rules/actions", tag = "rules",
    params(
        ("id" = Option<Vec<String>>, Query, description = "Rules with one of these ids"),
        ("tag" = Option<Vec<String>>, Query, description = "Rules that carry all of these tags"),
        ("destination" = Option<Vec<String>>, Query, description = "Rules for one of these services"),
    ),
    responses(
        (status = 200, body = RulesByService), (status = 304),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn actions(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    Extension(book): Book,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    grouped(&book, &namespace, &parameters, Kind::Action, &headers)
}

/// List the routing rules of a destination
#[utoipa::path(
    get, path = "/v1/rules/routes/{destination}", tag = "rules",
    params(("destination" = String, Path)),
    responses(
        (status = 200, body = RuleList), (status = 304),
        (status = 401, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn routes_to(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    Path(destination): Path<String>,
    Extension(book): Book,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    Query::parse(&parameters, query::NONE)?;
    let selection = of(Kind::Route, destination);
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    listed(&shelf, selection, &headers)
}

/// List the action rules of a destination
#[utoipa::path(
    get, path = "/v1/rules/actions/{destination}", tag = "rules",
    params(("destination" = String, Path)),
    responses(
        (status = 200, body = RuleList), (status = 304),
        (status = 401, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn actions_on(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    Path(destination): Path<String>,
    Extension(book): Book,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    Query::parse(&parameters, query::NONE)?;
    let selection = of(Kind::Action, destination);
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    listed(&shelf, selection, &headers)
}

/// Delete the routing rules of a destination
#[utoipa::path(
    delete, path = "/v1/rules/routes/{destination}", tag = "rules",
    params(
        ("destination" = String, Path),
        ("dry_run" = Option<bool>, Query, description = "Only check; the answer is what would be deleted"),
        ("If-Match" = Option<String>, Header, description = "The revision, or ETag, that this builds on"),
    ),
    responses(
        (status = 200), (status = 401, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn remove_routes_to(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    condition: IfMatch,
    Path(destination): Path<String>,
    Extension(book): Book,
) -> Result<Response, Reply> {
    let mode = mode(&parameters)?;
    let selection = of(Kind::Route, destination);
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    removed(&book, &shelf, &selection, &condition, mode).await
}

/// Delete the action rules of a destination
#[utoipa::path(
    delete, path = "/v1/rules/actions/{destination}", tag = "rules",
    params(
        ("destination" = String, Path),
        ("dry_run" = Option<bool>, Query, description = "Only check; the answer is what would be deleted"),
        ("If-Match" = Option<String>, Header, description = "The revision, or ETag, that this builds on"),
    ),
    responses(
        (status = 200), (status = 401, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn remove_actions_on(
    Caller(namespace): Caller,
    Parameters(parameters): Pairs,
    condition: IfMatch,
    Path(destination): Path<String>,
    Extension(book): Book,
) -> Result<Response, Reply> {
    let mode = mode(&parameters)?;
    let selection = of(Kind::Action, destination);
    let shelf = book.shelf(&namespace).map_err(reply::not_loaded)?;
    removed(&book, &shelf, &selection, &condition, mode).await
}

fn mode(parameters: &[(String, String)]) -> Result<Mode, Reply> {
    Ok(Query::parse(parameters, query::WRITE)?.mode)
}

fn of(kind: Kind, destination: String) -> Selection {
    Selection {
        destinations: vec![destination],
        kind: Some(kind),
        ..Selection::default()
    }
}

fn grouped(
    book: &RuleBook,
    namespace: &Namespace,
    parameters: &[(String, String)],
    kind: Kind,
    headers: &HeaderMap,
) -> Result<Response, Reply> {
    let mut selection = Query::parse(parameters, query::FILTERS)?.selection;
    selection.kind = Some(kind);
    let shelf = book.shelf(namespace).map_err(reply::not_loaded)?;
    let now = shelf.snapshot();
    let unknown = selection.unknown(|id| now.items.contains_key(id));
    if !unknown.is_empty() {
        return Err(reply::unknown(&unknown));
    }
    if reply::is_known(&shelf, now.revision, headers) {
        return Ok(reply::tagged(
            &shelf,
            now.revision,
            StatusCode::NOT_MODIFIED,
        ));
    }
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
    let body = Json(RulesByService { services }).into_response();
    Ok(reply::tagged(&shelf, now.revision, body))
}
