//! What registry and controller share of HTTP: the listener, the stack around their routes,
//! error replies, the extractors, health and metrics.
//!
//! A server writes its handlers as axum routes, its errors as [`Reply`]s, and how a reply
//! looks as one [`Shape`]. [`Server::router`] puts the stack around the routes:
//!
//! 1. request id (kept when it is sound, otherwise made), span, request metrics
//! 2. the shape of error replies, those of axum itself, 404 and 405 included
//! 3. a panic becomes a 500, a handler that takes too long a 503 (a stream that has begun
//!    is not cut)
//! 4. the bound on the body, of which a refused caller can send the rest; `require_https`
//!
//! [`serve()`] then runs it on a listener until the stop signal fires. A connection ends when
//! its peer takes nothing of an answer for 30 seconds, takes 30 seconds for the head of a
//! request, or idles for 2 minutes between two requests ([`Limits`]).

mod body;
mod caller;
mod config;
mod drain;
mod hands;
mod health;
mod https;
mod metrics;
mod observe;
mod openapi;
mod patience;
mod precondition;
mod reply;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use http::StatusCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

pub use body::JsonBody;
pub use caller::{Caller, Watcher};
pub use config::{Config, Limits, PLACE, SETTINGS};
pub use hands::Hands;
pub use health::{Condition, Health, Pending};
pub use https::{BaseUrl, Https};
pub use metrics::Metrics;
pub use observe::RequestId;
pub use openapi::{Known, Watching};
pub use precondition::IfMatch;
pub use reply::{Reply, Shape};
pub use serve::{ListenError, Peer, listen, serve};

use crate::auth::Authenticator;
use crate::task::Stop;

/// What a server's stack is made of.
#[derive(Clone)]
pub struct Server {
    /// Bounds on connections, bodies and time.
    pub limits: Limits,
    /// Who may call.
    pub auth: Authenticator,
    /// Whether plain HTTP is refused, and which proxies may speak of the scheme.
    pub https: Https,
    /// How this server's error replies look.
    pub shape: Shape,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// What `/health` and `/ready` say.
    pub health: Health,
    /// Fires when the server ends; handlers of streams take it as `Extension<Stop>`.
    pub stop: Stop,
}

impl Server {
    /// Puts the stack around `api`, and adds `/health`, `/ready` and `/metrics`.
    pub fn router(self, api: Router) -> Router {
        let server = Arc::new(self);
        let api = match server.https.required {
            true => api.route_layer(from_fn(https::require)),
            false => api,
        };
        let operation = Router::new()
            .route("/health", get(health::alive))
            .route("/ready", get(health::ready))
            .route("/metrics", get(metrics::show));
        let stack = ServiceBuilder::new()
            .layer(from_fn_with_state(server.clone(), observe::observe))
            .layer(CatchPanicLayer::custom(reply::from_panic))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                server.limits.request_timeout,
            ))
            .layer(from_fn(drain::before_refusing))
            .layer(RequestBodyLimitLayer::new(server.limits.body));
        api.merge(operation)
            .fallback(reply::no_such_route)
            .method_not_allowed_fallback(reply::no_such_method)
            .layer(stack)
    }
}

/// The document of a server's API, completed by what every server has, at `/openapi.json`.
pub fn openapi(mut document: utoipa::openapi::OpenApi) -> Router {
    document.merge(openapi::common());
    let document = Arc::new(document);
    Router::new().route(
        "/openapi.json",
        get(move || async move { axum::Json(document) }),
    )
}

#[cfg(test)]
mod tests;
