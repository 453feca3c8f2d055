//! The outermost layer: names each request, counts it, and draws its error reply.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tracing::debug;

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

    /// 128 random bits. They need not be hard to guess, and asking the system for them would
    /// cost as much as the rest of a heartbeat's handler.
    fn fresh() -> Self {
        let text = format!("{:032x}", fastrand::u128(..));
        Self(HeaderValue::from_str(&text).expect("hex digits fit into a header"))
    }
}

/// What a log line about a request says of it.
#[derive(Clone)]
pub(super) struct About {
    id: RequestId,
    method: Method,
    uri: Uri,
}

tokio::task_local! {
    /// The request that is being answered. A span of its own would be written out for every
    /// request, whether or not there is anything to log.
    static ABOUT: About;
}

impl About {
    /// The request that is being answered here, if one is.
    pub(super) fn now() -> Option<Self> {
        ABOUT.try_with(Self::clone).ok()
    }
}

/// `GET /v1/rules, 5f0c…`: one text for the log.
impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.method, self.uri.path(), self.id)
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
    let about = About {
        id: id.clone(),
        method: request.method().clone(),
        uri: request.uri().clone(),
    };
    let extensions = request.extensions_mut();
    extensions.insert(id);
    extensions.insert(server.stop.clone());
    extensions.insert(server.clone());

    let work = async {
        let response = next.run(request).await;
        let mut response = reply::draw(server.shape, response).await;
        let time = counted.end(response.status());
        let status = response.status().as_u16();
        ABOUT.with(|about| {
            debug!(request = %about, status, ?time, "answered");
            response
                .headers_mut()
                .insert(X_REQUEST_ID, about.id.0.clone());
        });
        response
    };
    ABOUT.scope(about, work).await
}

/// What the stack put beside the request.
pub(super) fn server(parts: &Parts) -> Result<&Arc<Server>, Reply> {
    parts.extensions.get().ok_or_else(Reply::internal)
}
