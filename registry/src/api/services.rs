//! `/api/v1/services`: the names, and the instances of one.

use std::collections::BTreeSet;
use std::sync::Arc;

use a8_common::http::{Caller, Reply};
use a8_common::model::{Instance, ServiceName};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
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
    get, path = "/api/v1/services", tag = "services",
    responses((status = 200, body = Services), Failures)
)]
pub(super) async fn list(
    Caller(namespace): Caller,
    Extension(catalog): Extension<Arc<Catalog>>,
) -> Result<Json<Services>, Reply> {
    let room = catalog.room(&namespace).map_err(reply::not_loaded)?;
    let now = room.view().snapshot();
    let services = now
        .items
        .values()
        .map(|instance| instance.service_name.clone())
        .collect();
    Ok(Json(Services { services }))
}

/// Show the instances of one service, whatever their status
#[utoipa::path(
    get, path = "/api/v1/services/{name}", tag = "services",
    params(("name" = String, Path)),
    responses(
        (status = 200, body = Service),
        (status = 404, body = ErrorBody, description = "It has no instance"), Failures
    )
)]
pub(super) async fn show(
    Caller(namespace): Caller,
    Extension(catalog): Extension<Arc<Catalog>>,
    Path(name): Path<String>,
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
    let instances = selection.entries(&room, &room.view().snapshot());
    if instances.is_empty() {
        return Err(unknown());
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        service_name: ServiceName,
        instances: Vec<Entry<'a>>,
    }
    Ok(Json(Shown {
        service_name,
        instances,
    })
    .into_response())
}
