//! The REST API over the catalog: paths, parameters, bodies and replies.

mod instances;
mod listing;
mod registration;
mod reply;
mod services;
mod uptime;

use std::sync::Arc;

use a8_common::http;
use axum::{Extension, Router};
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
        .layer(Extension(catalog))
        .layer(Extension(Arc::new(listing::Cache::default())))
        .layer(Extension(uptime::Began::now()))
        .split_for_parts();
    routes.merge(http::openapi(document))
}
