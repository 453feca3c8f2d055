//! The replies that are the proxy's own: one place turns what went wrong into what the
//! caller is told. They can be told from an instance's by `server: a8sidecar`, and by
//! `a8-error`, which holds the flag of the access log.

use a8_common::rule::Refused;
use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, SERVER,
};
use http::{Response, StatusCode};
use serde::Serialize;

use super::attempt::Failure;
use super::backend::Backend;
use super::body::ReplyBody;
use super::record::Flag;
use super::routes::Unroutable;

const A8_ERROR: HeaderName = HeaderName::from_static("a8-error");
/// What is offered instead of `CONNECT`; others that nobody has heard of are passed on, too.
const METHODS: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE";

/// A reply of our own.
pub(super) struct Reply {
    /// What the caller gets.
    pub(super) response: Response<ReplyBody>,
    /// What the log gets.
    pub(super) flag: Flag,
    /// The reason, for people.
    pub(super) why: String,
}

/// The body of a reply of our own.
#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a a8_common::model::Tags>,
    /// `null` is the default route.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Option<&'a str>>,
}

/// A request that is not routed.
pub(super) fn unroutable(why: &Unroutable) -> Reply {
    let (status, error, flag) = match why {
        Unroutable::NotLoaded => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            Flag::NoInstance,
        ),
        Unroutable::Malformed(why) => return ambiguous(why),
        Unroutable::Refused(Refused::NotAPath) => {
            (StatusCode::BAD_REQUEST, "bad_request", Flag::Refused)
        }
        Unroutable::Refused(Refused::Climbs) => {
            (StatusCode::BAD_REQUEST, "bad_path", Flag::Refused)
        }
        Unroutable::Refused(Refused::NoService) | Unroutable::NoService(_) => {
            (StatusCode::NOT_FOUND, "no_such_service", Flag::NoService)
        }
    };
    let service = match why {
        Unroutable::NoService(name) => Some(&**name),
        _ => None,
    };
    let body = Body {
        error,
        description: why.to_string(),
        service,
        tags: None,
        rule: None,
    };
    reply(status, body, flag)
}

/// A method that a proxy for services does not offer.
pub(super) fn connect_refused() -> Reply {
    let why = "CONNECT is not offered: name the service in the path or as the host";
    let mut reply = refused(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why);
    let headers = reply.response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    reply
}

/// A request whose end or whose host is not clear. Nothing more is read from this caller, who
/// may mean something else by it.
pub(super) fn ambiguous(why: &'static str) -> Reply {
    let mut reply = refused(StatusCode::BAD_REQUEST, "bad_request", why);
    let headers = reply.response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// A request with too long an address.
pub(super) fn uri_too_long() -> Reply {
    let why = "the address is too long";
    refused(StatusCode::URI_TOO_LONG, "uri_too_long", why)
}

fn refused(status: StatusCode, error: &'static str, why: &'static str) -> Reply {
    let body = Body {
        error,
        description: why.to_owned(),
        service: None,
        tags: None,
        rule: None,
    };
    reply(status, body, Flag::Refused)
}

/// An instance changed the protocol without having been asked to.
pub(super) fn unasked_switch(backend: &Backend) -> Reply {
    let description = "the instance changed the protocol without having been asked to".to_owned();
    let body = Body::of(backend, "connection_broken", description);
    reply(StatusCode::BAD_GATEWAY, body, Flag::Broken)
}

/// A request whose body has more than `most` bytes.
pub(super) fn too_large(most: u64, backend: &Backend) -> Reply {
    let why = Failure::TooLarge(most).to_string();
    let body = Body::of(backend, "body_too_large", why);
    reply(StatusCode::PAYLOAD_TOO_LARGE, body, Flag::Refused)
}

/// A request that was routed to `backend` and got no answer from there.
///
/// # Errors
/// The connection is to be closed without an answer.
pub(super) fn failed(why: &Failure, backend: &Backend) -> Result<Reply, Flag> {
    let (status, error, flag) = match why {
        Failure::NoInstance => (
            StatusCode::SERVICE_UNAVAILABLE,
            "no_instance",
            Flag::NoInstance,
        ),
        Failure::Overflow(_) => (StatusCode::SERVICE_UNAVAILABLE, "overflow", Flag::Overflow),
        Failure::Connect(_) => (StatusCode::BAD_GATEWAY, "connect_failed", Flag::Broken),
        Failure::Broken(_) => (StatusCode::BAD_GATEWAY, "connection_broken", Flag::Broken),
        Failure::TimedOut(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout", Flag::TimedOut),
        Failure::Aborted(status) => (*status, "fault_injected", Flag::Aborted),
        Failure::TooLarge(most) => return Ok(too_large(*most, backend)),
        Failure::Closed => return Err(Flag::Aborted),
        Failure::CallerGone => return Err(Flag::CallerGone),
    };
    let description = match why {
        Failure::NoInstance => no_instance(backend),
        _ => why.to_string(),
    };
    let body = Body::of(backend, error, description);
    Ok(reply(status, body, flag))
}

impl<'a> Body<'a> {
    fn of(backend: &'a Backend, error: &'static str, description: String) -> Self {
        Self {
            error,
            description,
            service: Some(backend.key.service.as_str()),
            tags: Some(&backend.key.tags),
            rule: Some(backend.key.rule.as_ref().map(|id| id.as_str())),
        }
    }
}

fn no_instance(backend: &Backend) -> String {
    let members = backend.members();
    match members.usable.len() - members.http().len() + members.unusable {
        0 => format!("no instance of {} is up", backend.label),
        n => format!(
            "no instance of {} can be spoken to: {n} have an endpoint that is not for HTTP",
            backend.label
        ),
    }
}

/// A reply to somebody who asks for its head alone, which tells how long the body would be.
/// HTTP/1 leaves out a body that must not be there by itself, HTTP/2 does not.
pub(super) fn head_of(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    let body = std::mem::replace(response.body_mut(), ReplyBody::Local(None));
    if let ReplyBody::Local(Some(text)) = body {
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    }
    response
}

fn reply(status: StatusCode, body: Body<'_>, flag: Flag) -> Reply {
    let text = serde_json::to_vec(&body).unwrap_or_default();
    let no_body = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    let mut response = Response::new(ReplyBody::Local((!no_body).then(|| Bytes::from(text))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("a8sidecar"));
    if !no_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(A8_ERROR, HeaderValue::from_static(flag.label()));
    if status == StatusCode::SERVICE_UNAVAILABLE && flag != Flag::Aborted {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Reply {
        response,
        flag,
        why: body.description,
    }
}
