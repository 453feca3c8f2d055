//! The outermost layer: names each request, counts it, and draws its error reply.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Instrument, debug, info_span};
use uuid::Uuid;

use super::{Reply, Server, reply};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is kept as the caller sent it, in bytes.
const MAX_ID: usize = 128;

/// What names one request in replies and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id when it is short and plain, otherwise a new one.
    fn of(headers: &HeaderMap) -> Self {
        let sound = |id: &&HeaderValue| {
            let bytes = id.as_bytes();
            let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(b);
            (1..=MAX_ID).contains(&bytes.len()) && bytes.iter().all(plain)
        };
        match headers.get(X_REQUEST_ID).filter(sound) {
            Some(id) => Self(id.clone()),
            None => Self::fresh(),
        }
    }

    fn fresh() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = Uuid::new_v4().simple().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).expect("hex digits fit into a header"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let id = parts.extensions.get().cloned();
        id.ok_or_else(Reply::internal)
    }
}

pub(super) async fn observe(
    State(server): State<Arc<Server>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(request.headers());
    let counted = server.metrics.begin(&request);
    let span = info_span!("request", %id, method = %request.method(), path = request.uri().path());
    let extensions = request.extensions_mut();
    extensions.insert(id.clone());
    extensions.insert(server.stop.clone());
    extensions.insert(server.clone());

    let work = async {
        let response = next.run(request).await;
        reply::draw(server.shape, response).await
    };
    let mut response = work.instrument(span.clone()).await;
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    let time = counted.end(response.status());
    span.in_scope(|| debug!(status = response.status().as_u16(), ?time, "answered"));
    response
}

/// What the stack put beside the request.
pub(super) fn server(parts: &Parts) -> Result<&Arc<Server>, Reply> {
    parts.extensions.get().ok_or_else(Reply::internal)
}
