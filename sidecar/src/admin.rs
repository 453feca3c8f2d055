//! Where the sidecar speaks of itself: health, metrics, and what it routes by and why.

mod clusters;
mod explain;
mod gauges;
mod log;
mod routes;
mod status;

use std::sync::Arc;

use a8_common::http::{Reply, Server};
use a8_common::rule::Rule;
use a8_common::source::Feed;
use a8_common::task::Stop;
use a8_common::{model::Instance, telemetry};
use arc_swap::ArcSwap;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::health::Report;
use crate::proxy::{AffinityKey, Kept, Me, Routes};
use crate::register::Standing;
use crate::state::Status;
use crate::supervise;

pub use gauges::Gauges;

/// What the admin port shows. Parts that the sidecar does not have are absent.
#[derive(Clone)]
pub struct Sidecar {
    /// Who the sidecar is.
    pub me: Arc<ArcSwap<Me>>,
    /// The configuration, without secrets.
    pub config: Arc<Value>,
    /// What is known of others.
    pub known: Option<Known>,
    /// The way out.
    pub proxy: Option<Proxy>,
    /// The registration.
    pub registration: Option<watch::Receiver<Standing>>,
    /// How the service is by its checks.
    pub checks: watch::Receiver<Report>,
    /// The supervised commands.
    pub commands: watch::Receiver<Vec<supervise::State>>,
    /// The log's level.
    pub log: telemetry::Control,
    /// Fires when the sidecar is to take its service away.
    pub drain: Stop,
}

/// What is known of instances and rules, and how far it has been taken in.
#[derive(Clone)]
pub struct Known {
    /// How far: by the proxy or, without one, by the DNS server.
    pub status: watch::Receiver<Status>,
    /// The source of instances.
    pub instances: Feed<Instance>,
    /// The source of rules, where there is a proxy.
    pub rules: Option<Feed<Rule>>,
}

/// The state that the way out routes by.
#[derive(Clone)]
pub struct Proxy {
    /// What requests are decided by.
    pub routes: Arc<ArcSwap<Routes>>,
    /// The key of affinity cookies.
    pub affinity: Arc<AffinityKey>,
    /// The files of certificates that are kept up with.
    pub certificates: Arc<[Kept]>,
}

/// The routes of the admin port, within the stack that all our servers have.
pub fn router(sidecar: Sidecar, server: Server) -> Router {
    let own = Router::new()
        .route("/", get(index))
        .route("/config", get(config))
        .route("/routes", get(routes::show))
        .route("/clusters", get(clusters::show))
        .route("/state", get(status::show))
        .route("/explain", get(explain::show))
        .route("/loglevel", get(log::show).put(log::change))
        .route("/drain", post(drain))
        .with_state(sidecar);
    server.router(own)
}

/// How an error reply looks.
pub fn shape(reply: &Reply) -> Value {
    json!({"error": reply.code(), "description": reply.text()})
}

/// What there is to see here, for whoever knows only the port.
async fn index() -> Json<Value> {
    Json(json!({
        "GET /health": "whether the process lives",
        "GET /ready": "whether it takes requests, and if not, what it waits for",
        "GET /metrics": "figures, for Prometheus",
        "GET /config": "the settings in effect, without secrets",
        "GET /state": "what is known of instances and rules, since when and from where; checks and commands",
        "GET /routes": "the rules of each service, in the order in which they are tried",
        "GET /clusters": "the instances of each backend, with their connections",
        "GET /explain?from=name:tag,tag&to=service&path=/x&header=Name:value":
            "where such a request would go, and why; header may be repeated",
        "GET /explain?from=name:tag,tag&tcp=service":
            "where a connection to a TCP proxy of the service would go, and why",
        "GET /loglevel": "the level of the log",
        "PUT /loglevel": "changes it: debug, info, warn or error",
        "POST /drain": "takes the service out of the registry; requests are served on",
    }))
}

async fn config(State(sidecar): State<Sidecar>) -> Json<Value> {
    Json(Value::clone(&sidecar.config))
}

/// Takes the service away from the registry and fails readiness; requests are served on
/// until the process is told to stop.
async fn drain(State(sidecar): State<Sidecar>) -> (StatusCode, Json<Value>) {
    sidecar.drain.fire();
    (StatusCode::ACCEPTED, Json(json!({"draining": true})))
}

impl Sidecar {
    fn proxy(&self) -> Result<&Proxy, Reply> {
        self.proxy
            .as_ref()
            .ok_or_else(|| Reply::not_found("no_proxy", "this sidecar does not route"))
    }
}

#[cfg(test)]
mod tests;
