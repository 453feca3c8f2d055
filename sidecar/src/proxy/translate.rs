//! What differs between the versions of HTTP (RFC 9113, 8). Between serving and sending, a
//! request has the form of HTTP/1.1: the address in `Host`, the path alone as its target.

use http::header::{CONNECTION, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};

use super::body::Outbound;
use super::upstream::Traffic;

/// What a request of a caller is about.
pub(super) fn traffic(head: &Parts) -> Traffic {
    if head.version == Version::HTTP_2 {
        let kind = head.headers.get(http::header::CONTENT_TYPE);
        return match kind.is_some_and(is_grpc) {
            true => Traffic::Grpc,
            false => Traffic::Http,
        };
    }
    match upgrade(&head.headers) {
        // HTTP/2 is no longer begun this way (RFC 9113, 3.1): who asks for it among others is
        // answered as if it had asked for nothing, as it could not be told which it got.
        Some(_) if head.version == Version::HTTP_11 && !offers_http2(&head.headers) => {
            Traffic::Upgrade
        }
        _ => Traffic::Http,
    }
}

/// Whether it is gRPC itself, whatever it encodes its messages in. `application/grpc-web` is
/// another protocol, which begins with the same letters and can be carried by HTTP/1.
fn is_grpc(kind: &HeaderValue) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let Some((name, rest)) = kind.as_bytes().split_at_checked(GRPC.len()) else {
        return false;
    };
    name.eq_ignore_ascii_case(GRPC)
        && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

/// The protocol that the sender asks to change to, or agrees to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<&HeaderValue> {
    let to = headers.get(UPGRADE)?;
    let mut named = tokens(headers, CONNECTION);
    named
        .any(|token| token.eq_ignore_ascii_case(b"upgrade"))
        .then_some(to)
}

/// Whether HTTP/2 is among the protocols that `Upgrade` names, with a version or without.
fn offers_http2(headers: &HeaderMap) -> bool {
    tokens(headers, UPGRADE).any(|token| {
        let name = token.split(|b| *b == b'/').next();
        name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
    })
}

/// The members of a list, in however many fields it stands.
fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(name).iter();
    let tokens = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    tokens.map(<[u8]>::trim_ascii)
}

/// Says again that the protocol is to be changed, for the next hop.
pub(super) fn upgrade_to(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// A request in HTTP/2 names two hosts.
#[derive(Debug)]
pub(super) struct TwoHosts;

/// Brings the head of a request in HTTP/2 into the form of HTTP/1.1.
pub(super) fn from_http2(head: &mut Parts) -> Result<(), TwoHosts> {
    let uri = std::mem::take(&mut head.uri).into_parts();
    if let Some(authority) = uri.authority {
        let value = HeaderValue::from_str(authority.as_str()).map_err(|_| TwoHosts)?;
        match head.headers.get(HOST) {
            Some(host) if !host.as_bytes().eq_ignore_ascii_case(value.as_bytes()) => {
                return Err(TwoHosts);
            }
            Some(_) => {}
            None => {
                head.headers.insert(HOST, value);
            }
        }
    }
    if let Some(target) = uri.path_and_query {
        head.uri = Uri::from(target);
    }
    join_cookies(&mut head.headers);
    Ok(())
}

/// A cookie may come in pieces, which rules and HTTP/1 know as one field (8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else {
        return;
    };
    let mut whole = [first.as_bytes(), second.as_bytes()].join(&b"; "[..]);
    for piece in pieces {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(piece.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)) {
        headers.insert(COOKIE, whole);
    }
}

/// Brings a request into the form of HTTP/2. `host` is the address where it names none. A
/// protocol that it asks to change to is left out when it is sent.
pub(super) fn to_http2(request: &mut Request<Outbound>, tls: bool, host: &str) {
    let authority = match request.headers_mut().remove(HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => None,
    };
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.authority = authority.or_else(|| host.parse().ok());
    uri.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    // With all three parts there is nothing that could be wrong.
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().remove(TRANSFER_ENCODING);
}

/// Undoes [`to_http2`] for a request that was not sent.
pub(super) fn to_http1(request: &mut Request<Outbound>) {
    let uri = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = uri.authority
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    if let Some(target) = uri.path_and_query {
        *request.uri_mut() = Uri::from(target);
    }
    *request.version_mut() = Version::HTTP_11;
    for (name, option) in [(TE, "te"), (UPGRADE, "upgrade")] {
        if request.headers().contains_key(name) {
            let option = HeaderValue::from_static(option);
            request.headers_mut().insert(CONNECTION, option);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(request: Request<()>) -> Parts {
        request.into_parts().0
    }

    #[test]
    fn a_head_of_http2_takes_the_form_of_http1() {
        let request = Request::get("http://reviews.amalgam8/0?a=b")
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "user=jason")
            .header("cookie", "b=2");
        let mut head = head(request.body(()).unwrap());
        from_http2(&mut head).unwrap();
        assert_eq!(head.uri, "/0?a=b");
        assert_eq!(head.headers[HOST], "reviews.amalgam8");
        let cookies: Vec<_> = head.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; user=jason; b=2"]);
    }

    #[test]
    fn two_hosts_are_refused() {
        for (host, fine) in [("a", true), ("A", true), ("b", false)] {
            let request = Request::get("http://a/").version(Version::HTTP_2);
            let mut head = head(request.header("host", host).body(()).unwrap());
            assert_eq!(from_http2(&mut head).is_ok(), fine, "{host}");
        }
    }

    #[test]
    fn there_and_back_nothing_is_lost() {
        let mut request = Request::new(Outbound::Empty);
        *request.uri_mut() = "/x?y".parse().unwrap();
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("shop:81"));
        to_http2(&mut request, true, "10.0.0.1:443");
        assert_eq!(request.uri(), "https://shop:81/x?y");
        assert!(!request.headers().contains_key(HOST));
        to_http1(&mut request);
        assert_eq!(request.uri(), "/x?y");
        assert_eq!(request.headers()[HOST], "shop:81");
        assert!(!request.headers().contains_key(CONNECTION));
        for (name, value, option) in [(TE, "trailers", "te"), (UPGRADE, "websocket", "upgrade")] {
            let mut asking = Request::new(Outbound::Empty);
            let headers = asking.headers_mut();
            headers.insert(name.clone(), HeaderValue::from_static(value));
            headers.insert(CONNECTION, HeaderValue::from_static(option));
            to_http2(&mut asking, false, "10.0.0.1:80");
            assert!(!asking.headers().contains_key(CONNECTION));
            to_http1(&mut asking);
            assert_eq!(asking.headers()[name], value);
            assert_eq!(asking.headers()[CONNECTION], option);
        }
    }

    #[test]
    fn what_a_request_is_about() {
        let of = |version, fields: &[(&str, &str)]| {
            let mut request = Request::post("/").version(version);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            traffic(&head(request.body(()).unwrap()))
        };
        let websocket = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ];
        assert_eq!(of(Version::HTTP_11, &websocket), Traffic::Upgrade);
        assert_eq!(of(Version::HTTP_10, &websocket), Traffic::Http);
        assert_eq!(of(Version::HTTP_11, &websocket[1..]), Traffic::Http);
        for (to, want) in [
            ("h2c", Traffic::Http),
            ("H2C", Traffic::Http),
            ("websocket, h2c", Traffic::Http),
            ("h2c/1 ,websocket", Traffic::Http),
            ("h2c2", Traffic::Upgrade),
        ] {
            let fields = [("connection", "upgrade"), ("upgrade", to)];
            assert_eq!(of(Version::HTTP_11, &fields), want, "{to}");
        }
        let twice = [&websocket[..], &[("upgrade", "h2c")]].concat();
        assert_eq!(of(Version::HTTP_11, &twice), Traffic::Http);
        assert_eq!(of(Version::HTTP_2, &[]), Traffic::Http);
        for (kind, want) in [
            ("application/grpc", Traffic::Grpc),
            ("application/grpc+proto", Traffic::Grpc),
            ("Application/gRPC; charset=utf-8", Traffic::Grpc),
            ("application/grpc ;a=b", Traffic::Grpc),
            ("application/grpc-web", Traffic::Http),
            ("application/grpc-web+proto", Traffic::Http),
            ("application/grpcish", Traffic::Http),
        ] {
            assert_eq!(
                of(Version::HTTP_2, &[("content-type", kind)]),
                want,
                "{kind}"
            );
        }
    }
}
