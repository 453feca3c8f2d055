//! What becomes of the head on its way: fields of one hop are dropped, fields that tell the
//! next hop about the caller are added.

use std::net::IpAddr;
use std::time::Duration;

use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRANSFER_ENCODING, UPGRADE,
};

/// The longest request id that is kept; a longer one is replaced.
const MAX_REQUEST_ID: usize = 128;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
/// The way of a request through proxies.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The id that ties the log lines of one request together.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Drops the fields that are for one hop only (RFC 9110, 7.6.1): those that `Connection`
/// names, and the known ones whether named or not. `TE: trailers` is said anew for our own
/// hop, since trailers are passed on. Returns after which time the peer says it closes an
/// idle connection.
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) -> Option<Duration> {
    // Most heads have none of them: one pass over the names decides, by length first.
    if !headers.keys().any(is_hop_by_hop) {
        return None;
    }
    let mut named: Vec<HeaderName> = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|b| *b == b',') {
            let token = token.trim_ascii();
            // The host is part of the request's address, not of the hop.
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != HOST
            {
                named.push(name);
            }
        }
    }
    for name in named {
        if name != KEEP_ALIVE && name != TE {
            headers.remove(name);
        }
    }
    let trailers = headers.get_all(TE).iter().any(names_trailers);
    let keep_alive = headers.remove(KEEP_ALIVE).as_ref().and_then(timeout);
    for name in [
        CONNECTION,
        TRANSFER_ENCODING,
        PROXY_CONNECTION,
        HTTP2_SETTINGS,
        TE,
        UPGRADE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    keep_alive
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    let text = name.as_str();
    match text.len() {
        2 => text == "te",
        7 => text == "upgrade",
        10 => text == "connection" || text == "keep-alive",
        14 => text == "http2-settings",
        16 => text == "proxy-connection",
        17 => text == "transfer-encoding",
        18 => text == "proxy-authenticate",
        19 => text == "proxy-authorization",
        _ => false,
    }
}

fn names_trailers(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|b| *b == b',')
        .any(|t| t.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// `timeout=5, max=100` → 5 s.
fn timeout(value: &HeaderValue) -> Option<Duration> {
    value.to_str().ok()?.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        let seconds = name
            .trim()
            .eq_ignore_ascii_case("timeout")
            .then_some(seconds)?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    })
}

/// What the next hop is told about a caller; the same for all requests of its connection.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    address: HeaderValue,
    scheme: HeaderValue,
}

impl Caller {
    pub(super) fn new(ip: IpAddr, tls: bool) -> Self {
        let text = ip.to_canonical().to_string();
        Self {
            // An address is printed in digits, letters, dots and colons only.
            address: HeaderValue::from_str(&text)
                .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            scheme: HeaderValue::from_static(if tls { "https" } else { "http" }),
        }
    }

    /// `X-Forwarded-For` gets the caller's address at its end, after what the caller itself
    /// passed on. `X-Forwarded-Proto` and `-Host` say what the first proxy saw: they are set
    /// when absent and kept when there.
    pub(super) fn forward(&self, headers: &mut HeaderMap, host: Option<HeaderValue>) {
        match headers.entry(X_FORWARDED_FOR) {
            http::header::Entry::Vacant(entry) => {
                entry.insert(self.address.clone());
            }
            http::header::Entry::Occupied(mut entry) => {
                let mut list = Vec::with_capacity(64);
                for value in entry.iter() {
                    list.extend_from_slice(value.as_bytes());
                    list.extend_from_slice(b", ");
                }
                list.extend_from_slice(self.address.as_bytes());
                if let Ok(list) = HeaderValue::from_maybe_shared(bytes::Bytes::from(list)) {
                    entry.insert(list);
                }
            }
        }
        headers
            .entry(X_FORWARDED_PROTO)
            .or_insert_with(|| self.scheme.clone());
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
    }
}

/// Keeps the caller's request id when it is one that a log line can hold, else makes one. Of
/// several only the first counts: two ids tie nothing together.
pub(super) fn request_id(headers: &mut HeaderMap) -> &HeaderValue {
    let entry = headers.entry(X_REQUEST_ID);
    let fits = |v: &HeaderValue| {
        (1..=MAX_REQUEST_ID).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    match entry {
        http::header::Entry::Occupied(mut entry) => {
            if !fits(entry.get()) {
                entry.insert(fresh_id());
            } else if entry.iter().nth(1).is_some() {
                let first = entry.get().clone();
                entry.insert(first);
            }
            entry.into_mut()
        }
        http::header::Entry::Vacant(entry) => entry.insert(fresh_id()),
    }
}

/// 128 random bits in the form of a version 4 UUID.
fn fresh_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (at, byte) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            shift -= 4;
            *byte = HEX[(bits >> shift) as usize & 0xf];
        }
    }
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests;
