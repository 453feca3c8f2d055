//! `/uptime`: since when this process runs.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

/// When this process began.
#[derive(Clone, Copy)]
pub(super) struct Began(Instant);

impl Began {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }
}

/// How long this process has been running
#[derive(Serialize, ToSchema)]
pub(super) struct Uptime {
    /// Whole seconds.
    uptime: u64,
    /// The version of this server.
    version: &'static str,
}

/// How long this process has been running
#[utoipa::path(get, path = "/uptime", tag = "operation", responses((status = 200, body = Uptime)))]
pub(super) async fn uptime(State(Began(began)): State<Began>) -> Json<Uptime> {
    let uptime = began.elapsed().as_secs();
    Json(Uptime {
        uptime,
        version: env!("CARGO_PKG_VERSION"),
    })
}
