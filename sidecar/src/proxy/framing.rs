//! Whether all who read a message in HTTP/1.1 agree on where it ends (RFC 9112, 6 and 11.2).
//!
//! HTTP's parser accepts what that document lets a server accept, and passes on one reading
//! only. Those in front of us may have read a request otherwise, so what is ambiguous is
//! refused. A response is passed on in the parser's reading, and says so.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Version};

use super::connections::Connection;

/// More fields than the parser of requests accepts are never looked at.
const MAX_FIELDS: usize = 128;

/// Why a request is refused, if it is.
pub(super) fn ambiguous(head: &Parts, connection: &Connection) -> Option<&'static str> {
    if head.version == Version::HTTP_2 {
        return None;
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Some("the only transfer coding that is understood is chunked, once");
    }
    let both = connection.with_head(|bytes| announces_length(bytes, head));
    both.then_some("the end of the body is given by a length and by chunks")
}

/// Whether the head that was read as `head` also has a length, which the parser drops.
/// A head that came while another request was being served is not at hand: then the
/// parser's reading stands, and it ends the connection after the response.
fn announces_length(bytes: &[u8], head: &Parts) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let whole = matches!(request.parse(bytes), Ok(httparse::Status::Complete(_)));
    let same = request.method == Some(head.method.as_str());
    let name =
        |field: &httparse::Header<'_>| field.name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str());
    whole && same && request.headers.iter().any(name)
}

/// Brings what a response says of its length down to what the parser went by: nothing where
/// chunks told the end, and else one number.
pub(super) fn settle(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
        return;
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return };
    if lengths.next().is_none() && !first.as_bytes().contains(&b',') {
        return;
    }
    // All are the same, or there is no body, and the parser has not looked.
    let one = first.as_bytes().split(|b| *b == b',').next();
    match one.map(|one| HeaderValue::from_bytes(one.trim_ascii())) {
        Some(Ok(one)) => drop(headers.insert(CONTENT_LENGTH, one)),
        _ => drop(headers.remove(CONTENT_LENGTH)),
    }
}
