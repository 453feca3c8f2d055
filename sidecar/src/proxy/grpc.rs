//! Our own replies to callers that speak gRPC, which look for the outcome in trailers and
//! would take any other status than 200 for a broken peer.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::body::ReplyBody;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// What may not stand in a message as it is (gRPC over HTTP/2, "Status-Message").
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// A reply without a body whose head is its trailer. `why` is for people.
pub(super) fn reply(of: &Response<ReplyBody>, why: &str) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::Local(None));
    let headers = response.headers_mut();
    headers.clone_from(of.headers());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from_static(code(of.status())));
    let message = utf8_percent_encode(why, ESCAPED).to_string();
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    response
}

/// The code for a status of HTTP. It is that of the mapping in gRPC's documents ("HTTP to
/// gRPC Status Code Mapping"), but for a timeout, as we know whose it was, and a body that is
/// too large, which it does not know.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "0",
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        413 => "8",
        504 => "4",
        429 | 502 | 503 => "14",
        _ => "2",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_is_in_the_head_and_the_status_is_200() {
        for (status, code) in [(404, "12"), (413, "8"), (503, "14"), (504, "4"), (418, "2")] {
            let mut of = Response::new(ReplyBody::Local(Some("text".into())));
            *of.status_mut() = StatusCode::from_u16(status).unwrap();
            let reply = reply(&of, "100 % gone\n");
            assert_eq!(reply.status(), 200);
            assert_eq!(reply.headers()["grpc-status"], code);
            assert_eq!(reply.headers()["grpc-message"], "100 %25 gone%0A");
            assert!(matches!(reply.body(), ReplyBody::Local(None)));
        }
    }
}
