//! The REST API over the book of rules: paths, parameters, bodies and replies.

mod call;
mod groups;
mod query;
mod reply;
mod rules;

use std::sync::Arc;

use a8_common::http;
use axum::{Extension, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use reply::{ErrorBody, shape};

use crate::rulebook::RuleBook;

#[derive(OpenApi)]
#[openapi(
    info(title = "Amalgam8 controller", description = "The book of routing and fault rules"),
    security((), ("token" = []))
)]
struct Document;

/// The routes of the API, and its document at `/openapi.json`.
pub fn router(book: Arc<RuleBook>) -> Router {
    let (routes, document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(
            rules::list,
            rules::add,
            rules::update,
            rules::remove
        ))
        .routes(routes!(groups::routes))
        .routes(routes!(groups::actions))
        .routes(routes!(groups::routes_to, groups::remove_routes_to))
        .routes(routes!(groups::actions_on, groups::remove_actions_on))
        .layer(Extension(book))
        .split_for_parts();
    routes.merge(http::openapi(document))
}

#[cfg(test)]
mod tests;
