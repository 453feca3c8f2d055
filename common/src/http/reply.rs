//! Error replies: one type for both servers, drawn by each in its own shape.
//!
//! A handler returns a [`Reply`]; it travels inside the response as far as the stack, which
//! writes the body. So the replies of the stack itself, of axum's extractors and of the
//! handlers all look the same to the caller.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use tracing::{debug, error, warn};

use super::observe::About;
use crate::run::chain;

/// How a server writes an error: the JSON body of a reply.
pub type Shape = fn(&Reply) -> Value;

/// An error as the caller sees it. What caused it goes to the log, never in here.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    status: StatusCode,
    code: Cow<'static, str>,
    text: Cow<'static, str>,
    details: Option<Value>,
    retry_after: Option<Duration>,
}

impl Reply {
    /// A reply with a status, a stable code for programs and a text for people.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            text: text.into(),
            details: None,
            retry_after: None,
        }))
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, text)
    }

    /// 404.
    pub fn not_found(code: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, text)
    }

    /// 503: try again after `retry`.
    pub fn unavailable(
        code: &'static str,
        text: impl Into<Cow<'static, str>>,
        retry: Duration,
    ) -> Self {
        let reply = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, text);
        reply.retry_after(retry)
    }

    /// 500: the server's own fault.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal error; the server's log says more under this request id",
        )
    }

    /// Adds what is wrong in detail.
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Says when to try again; rounded up to whole seconds.
    pub fn retry_after(mut self, time: Duration) -> Self {
        self.0.retry_after = Some(time);
        self
    }

    /// Writes the cause to the log, under the request's id.
    pub fn log(self, cause: &(dyn Error + 'static)) -> Self {
        let request = About::now().map(|about| about.to_string());
        let (code, error) = (&*self.0.code, chain(cause));
        if self.0.status == StatusCode::SERVICE_UNAVAILABLE {
            // Whatever is away says so once, and every request in the meantime would again.
            debug!(request, code, %error, "request put off");
        } else if self.0.status.is_server_error() {
            error!(request, code, %error, "request failed");
        } else {
            warn!(request, code, %error, "request refused");
        }
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code for programs.
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The text for people.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What is wrong in detail.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The reply to a status that came without one.
    fn from_status(status: StatusCode, text: String) -> Self {
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
            StatusCode::SERVICE_UNAVAILABLE => "timeout",
            StatusCode::INTERNAL_SERVER_ERROR => return Self::internal(),
            _ => "bad_request",
        };
        let text: Cow<'static, str> = match (status, text.is_empty()) {
            (StatusCode::PAYLOAD_TOO_LARGE, _) => "the body is too large".into(),
            (StatusCode::SERVICE_UNAVAILABLE, true) => "the request took too long".into(),
            (_, true) => status.canonical_reason().unwrap_or("refused").into(),
            (_, false) => text.into(),
        };
        let reply = Self::new(status, code, text);
        match status {
            StatusCode::SERVICE_UNAVAILABLE => reply.retry_after(Duration::from_secs(1)),
            _ => reply,
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        let headers = response.headers_mut();
        if let Some(time) = self.0.retry_after {
            let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The longest text of a rejection of axum's that is passed on.
const MAX_REJECTION: usize = 4096;

/// Writes the body of an error reply; leaves any other response alone.
pub(super) async fn draw(shape: Shape, mut response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let reply = match response.extensions_mut().remove::<Reply>() {
        Some(reply) => reply,
        None if is_json(&response) => return response,
        None => {
            let body = std::mem::take(response.body_mut());
            let text = to_bytes(body, MAX_REJECTION).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let reply = Reply::from_status(status, text);
            if let Some(time) = reply.0.retry_after {
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs()));
            }
            reply
        }
    };
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    *response.body_mut() = Body::from(shape(&reply).to_string());
    response
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

pub(super) fn from_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    let request = About::now().map(|about| about.to_string());
    error!(
        request,
        panic = text.unwrap_or("unknown"),
        "a handler panicked"
    );
    Reply::internal().into_response()
}

pub(super) async fn no_such_route() -> Reply {
    Reply::not_found("no_such_route", "there is nothing at this path")
}

pub(super) async fn no_such_method() -> Reply {
    Reply::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not answer to this method",
    )
}
