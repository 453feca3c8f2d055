//! The REST API over the catalog: paths, parameters, bodies and replies.

mod instances;
mod listing;
mod registration;
mod reply;
mod services;
mod uptime;

use std::sync::Arc;

use a8_common::http;
use axum::Router;
use axum::extract::FromRef;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use reply::{ErrorBody, shape};

use crate::catalog::Catalog;

#[derive(OpenApi)]
#[openapi(
    info(title = "Amalgam8 registry", description = "The catalog of service instances"),
    security((), ("token" = []))
)]
struct Document;

/// The routes of the API, and its document at `/openapi.json`.
pub fn router(catalog: Arc<Catalog>) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(instances::list, instances::register))
        .routes(routes!(instances::show, instances::deregister))
        .routes(routes!(instances::renew))
        .routes(routes!(services::list))
        .routes(routes!(services::show))
        .routes(routes!(uptime::uptime))
        .split_for_parts();
    let parts = Parts {
        catalog,
        cache: Arc::default(),
        began: uptime::Began::now(),
    };
    routes.with_state(parts).merge(http::openapi(document))
}

/// What handlers take of the server.
#[derive(Clone)]
struct Parts {
    catalog: Arc<Catalog>,
    cache: Arc<listing::Cache>,
    began: uptime::Began,
}

impl FromRef<Parts> for Arc<Catalog> {
    fn from_ref(parts: &Parts) -> Self {
        parts.catalog.clone()
    }
}

impl FromRef<Parts> for Arc<listing::Cache> {
    fn from_ref(parts: &Parts) -> Self {
        parts.cache.clone()
    }
}

impl FromRef<Parts> for uptime::Began {
    fn from_ref(parts: &Parts) -> Self {
        parts.began
    }
}
