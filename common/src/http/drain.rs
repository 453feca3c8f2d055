//! Lets a refused caller read why.
//!
//! A server that answers before it has read the body, and closes, resets the connection when
//! more of the body arrives: a caller that sends everything first never sees the answer. So
//! what is left of a refused body is read and thrown away, within bounds, before the answer
//! is sent. RFC 9112, section 9.6, describes the problem.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::header;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// The most that is read of a refused body, in bytes.
const MOST: usize = 8 << 20;
/// The longest that is waited for it.
const LONGEST: Duration = Duration::from_secs(2);

pub(super) async fn before_refusing(request: Request, next: Next) -> Response {
    // Who asks before sending has sent nothing yet, and need not.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut shared = Shared(Arc::new(Mutex::new(body)));
    let response = next
        .run(Request::from_parts(parts, Body::new(shared.clone())))
        .await;
    if response.status().is_client_error() || response.status().is_server_error() {
        // Whether it came in time or not: there is no more to be done for this caller.
        let _ = tokio::time::timeout(LONGEST, shared.discard()).await;
    }
    response
}

/// A body that outlives the handler which it was given to.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    async fn discard(&mut self) {
        let mut left = MOST;
        while let Some(Ok(frame)) = self.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else {
                return;
            };
            left = rest;
        }
    }

    fn with<R>(&self, act: impl FnOnce(Pin<&mut Body>) -> R) -> R {
        // Only one of the two ends is ever polled: the handler's is gone when ours begins.
        act(Pin::new(
            &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
