//! What the API documents of all servers have in common.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, Modify, OpenApi};

use super::health::Report;

/// The operator's paths, and the way to show a token.
pub(super) fn common() -> utoipa::openapi::OpenApi {
    Common::openapi()
}

#[derive(OpenApi)]
#[openapi(paths(health, ready, metrics, document), modifiers(&BearerToken))]
struct Common;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// The parameters of a list that can be watched.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes parameters")]
pub struct Watching {
    /// Stream changes instead of a list
    #[param(required = false)]
    watch: bool,
    /// Watch: the life of the data that was seen
    #[param(required = false)]
    epoch: String,
    /// Watch: the revision that was seen last
    #[param(required = false, minimum = 0, format = "uint64")]
    revision: u64,
}

/// The header of a plain GET that was made before.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes parameters")]
pub struct Known {
    /// The `ETag` of what the caller has: answered by 304 while it is current
    #[param(required = false, rename = "If-None-Match")]
    tag: String,
}

// The functions below only carry the descriptions: the handlers stand beside this file, and
// the stack, not a server, routes to them.

/// Whether the process is alive
#[utoipa::path(get, path = "/health", tag = "operation", security(()), responses((status = 200)))]
#[allow(dead_code, reason = "carries a description")]
fn health() {}

/// Whether requests can be served, and what is missing
#[utoipa::path(
    get, path = "/ready", tag = "operation", security(()),
    responses((status = 200, body = Report), (status = 503, body = Report))
)]
#[allow(dead_code, reason = "carries a description")]
fn ready() {}

/// Metrics in the Prometheus text format
#[utoipa::path(
    get, path = "/metrics", tag = "operation", security(()),
    responses((status = 200, body = String, content_type = "text/plain"))
)]
#[allow(dead_code, reason = "carries a description")]
fn metrics() {}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "operation", security(()), responses((status = 200)))]
#[allow(dead_code, reason = "carries a description")]
fn document() {}
