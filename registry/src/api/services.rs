//! `/api/v1/services`: the names, and the instances of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use a8_common::http::{Caller, Known, Reply};
use a8_common::model::{Instance, ServiceName};
use a8_common::watch::etag;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Serialize;
use utoipa::ToSchema;

use super::listing::{Entry, Selection};
use super::reply::{self, ErrorBody, Failures};
use crate::catalog::Catalog;

/// The names of all services
#[derive(Serialize, ToSchema)]
pub(super) struct Services {
    #[schema(value_type = Vec<String>)]
    services: BTreeSet<ServiceName>,
}

/// One service
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what the answer holds")]
pub(super) struct Service {
    service_name: String,
    instances: Vec<Instance>,
}

/// List the names of all services that have an instance
#[utoipa::path(
    get, path = "/api/v1/services", tag = "services", params(Known),
    responses(
        (status = 200, body = Services, headers(("ETag" = String))),
        (status = 304, description = "If-None-Match names the current state"), Failures
    )
)]
pub(super) async fn list(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let room = catalog.room(&namespace).map_err(reply::not_loaded)?;
    let now = room.view().snapshot();
    etag::answer(&now, &headers, || {
        let all = now.items.values();
        let services = all.map(|i| i.service_name.clone()).collect();
        Ok(Json(Services { services }).into_response())
    })
}

/// Show the instances of one service, whatever their status
#[utoipa::path(
    get, path = "/api/v1/services/{name}", tag = "services",
    params(("name" = String, Path), Known),
    responses(
        (status = 200, body = Service, headers(("ETag" = String))),
        (status = 304, description = "If-None-Match names the current state"),
        (status = 404, body = ErrorBody, description = "It has no instance"), Failures
    )
)]
pub(super) async fn show(
    Caller(namespace): Caller,
    State(catalog): State<Arc<Catalog>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Reply> {
    let unknown = || {
        Reply::not_found(
            "unknown_service",
            format!("service {name:?} has no instance"),
        )
    };
    let service_name = ServiceName::new(&name).map_err(|_| unknown())?;
    let room = catalog.room(&namespace).map_err(reply::not_loaded)?;
    let selection = Selection::of_service(service_name.clone());
    let now = room.view().snapshot();
    let instances = selection.entries(&room, &now);
    if instances.is_empty() {
        return Err(unknown());
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        service_name: ServiceName,
        instances: Vec<Entry<'a>>,
    }
    etag::answer(&now, &headers, || {
        let shown = Shown {
            service_name,
            instances,
        };
        Ok(Json(shown).into_response())
    })
}
