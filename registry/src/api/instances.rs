//! `/api/v1/instances`: registering, renewing, leaving, listing, watching.

use std::sync::Arc;

use a8_common::http::{BaseUrl, Caller, JsonBody, Known, Reply, Watcher, Watching};
use a8_common::model::{Endpoint, Instance, InstanceId};
use a8_common::watch::etag;
use a8_common::watch::server::Outlet;
use axum::Json;
use axum::extract::{Path, Query as Pairs, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa::{IntoParams, ToSchema};

use super::listing::{Cache, Entry, Query};
use super::registration::{Granted, Registration};
use super::reply::{self, ErrorBody, Failures};
use crate::catalog::Catalog;

/// Register an instance, or replace the one of the same service and endpoint
#[utoipa::path(
    post, path = "/api/v1/instances", tag = "instances", request_body = Registration,
    responses(
        (status = 201, body = Granted, headers(("Location" = String, description = "The instance's URL"))),
        (status = 413, body = ErrorBody, description = "The body is larger than 1 MiB"),
        (status = 415, body = ErrorBody, description = "The body is not JSON"), Failures
    )
)]
pub(super) async fn register(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    BaseUrl(base): BaseUrl,
    body: JsonBody,
) -> Result<Response, Reply> {
    let announcement = Registration::parse(&body)?;
    let registered = catalog
        .register(&namespace, announcement)
        .await
        .map_err(reply::register)?;
    let granted = Granted::new(&registered, &base);
    let location = HeaderValue::from_str(granted.location()).map_err(|_| Reply::internal())?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(granted),
    )
        .into_response())
}

/// List instances, or watch them
///
/// With `watch=true` the answer is a stream of newline-delimited JSON: a RESET line with the
/// whole state (unless `epoch` and `revision` name a place that can be gone on from), then an
/// UPSERT or REMOVE line for each transaction and a BOOKMARK line at least every 10 seconds.
#[utoipa::path(
    get, path = "/api/v1/instances", tag = "instances",
    params(Parameters, Watching, Known),
    responses(
        (status = 200, content((Instances = "application/json"), (String = "application/x-ndjson")), headers(("ETag" = String))),
        (status = 304, description = "If-None-Match names the current state"),
        Failures
    )
)]
pub(super) async fn list(
    Watcher { namespace, end }: Watcher,
    State(catalog): State<Arc<Catalog>>,
    State(cache): State<Arc<Cache>>,
    Pairs(parameters): Pairs<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let mut query = Query::parse(&parameters)?;
    let room = catalog.room(&namespace).map_err(reply::not_loaded)?;
    if query.watch {
        let outlet = match query.selection.is_default() {
            true => room.unfiltered().clone(),
            false => Outlet::new(room.view(), query.selection.filter()),
        };
        if let Some(place) = &mut query.place {
            outlet.locate(place, catalog.newest()).await;
        }
        let watched = outlet.watch(query.place.as_ref(), end);
        return watched.map_err(reply::view_not_loaded);
    }
    let now = room.view().snapshot();
    etag::answer(&now, &headers, || {
        let body = cache.body(query.selection, &room, &now);
        let body = body.map_err(|e| Reply::internal().log(&e))?;
        Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
    })
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the parameters")]
struct Parameters {
    /// Only instances of this service
    #[param(required = false, min_length = 1, max_length = 64)]
    service_name: String,
    /// Only instances with all of these, comma separated
    #[param(required = false)]
    tags: String,
    /// Only instances of this status; ALL for every one. Without it, and without another filter,
    /// STARTING and OUT_OF_SERVICE are left out
    #[param(required = false, min_length = 1, max_length = 32)]
    status: String,
    /// Members to show, comma separated; id and endpoint always come
    #[param(required = false)]
    fields: String,
}

/// The instances of a namespace
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the listing writes")]
pub(super) struct Instances {
    instances: Vec<ListedInstance>,
}

/// An instance, or those members of it that were asked for
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the listing writes")]
struct ListedInstance {
    id: String,
    endpoint: Endpoint,
    service_name: Option<String>,
    ttl: Option<u32>,
    status: Option<String>,
    last_heartbeat: Option<String>,
    tags: Option<Vec<String>>,
    metadata: Option<serde_json::Value>,
}

/// Show one instance
#[utoipa::path(
    get, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = String, Path), Known),
    responses(
        (status = 200, body = Instance, headers(("ETag" = String))),
        (status = 304, description = "If-None-Match names the current state"),
        (status = 404, body = ErrorBody, description = "It is not there"), Failures
    )
)]
pub(super) async fn show(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let room = catalog.room(&namespace).map_err(reply::not_loaded)?;
    let now = room.view().snapshot();
    let found = now.items.get(id.as_str()).cloned();
    let instance = found.ok_or_else(|| {
        Reply::not_found(
            "unknown_instance",
            format!("instance {id} is not registered"),
        )
    })?;
    etag::answer(&now, &headers, || {
        Ok(Json(Entry::of(&room, instance)).into_response())
    })
}

/// Take an instance away
#[utoipa::path(
    delete, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It is gone"),
        (status = 410, body = ErrorBody, description = "It was not there"), Failures
    )
)]
pub(super) async fn deregister(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<String>,
) -> Result<(), Reply> {
    let id = known_form(id)?;
    catalog
        .deregister(&namespace, &id)
        .await
        .map_err(reply::renew)
}

/// Send a heartbeat: the instance lives for another time to live
#[utoipa::path(
    put, path = "/api/v1/instances/{id}/heartbeat", tag = "instances",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "Its time to live begins anew"),
        (status = 410, body = ErrorBody, description = "It is not there: register again"), Failures
    )
)]
pub(super) async fn renew(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    Path(id): Path<String>,
) -> Result<(), Reply> {
    let id = known_form(id)?;
    catalog.renew(&namespace, &id).await.map_err(reply::renew)
}

/// What cannot be an id is not registered either.
fn known_form(id: String) -> Result<InstanceId, Reply> {
    let gone = |_| {
        Reply::new(
            StatusCode::GONE,
            "unknown_instance",
            format!("instance {id} is not registered"),
        )
    };
    InstanceId::new(&id).map_err(gone)
}
