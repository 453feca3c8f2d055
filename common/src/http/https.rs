//! Whether a request came over HTTPS, and what its own address looks like to the caller.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::uri::Authority;
use http::{Extensions, HeaderMap, StatusCode, header};
use ipnet::IpNet;

use super::observe::server;
use super::serve::Peer;
use super::{Reply, Server};

/// Whether plain HTTP is refused, and which proxies may speak of the scheme.
#[derive(Debug, Clone, Default)]
pub struct Https {
    /// Answer 403 to what did not come over HTTPS.
    pub required: bool,
    /// The proxies whose `X-Forwarded-Proto` is believed.
    pub proxies: Vec<IpNet>,
}

impl Https {
    /// Whether the caller's side of the connection is HTTPS: a trusted proxy says so.
    fn holds(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
        let trusted = |peer: SocketAddr| {
            let ip = peer.ip().to_canonical();
            self.proxies.iter().any(|network| network.contains(&ip))
        };
        let mut said = headers.get_all("x-forwarded-proto").iter();
        let https = said.next().is_some_and(|proto| proto == "https") && said.next().is_none();
        https && peer.is_some_and(trusted)
    }

    fn holds_for(&self, extensions: &Extensions, headers: &HeaderMap) -> bool {
        let peer = extensions.get::<Peer>().map(|peer| peer.0);
        self.holds(peer, headers)
    }
}

/// An address (`10.0.0.1`) or a network (`10.0.0.0/8`).
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}

pub(super) async fn require(request: Request, next: Next) -> Response {
    let server = request.extensions().get::<std::sync::Arc<Server>>();
    let secure = server.is_some_and(|server| {
        let https = &server.https;
        https.holds_for(request.extensions(), request.headers())
    });
    if secure {
        return next.run(request).await;
    }
    let reply = Reply::new(
        StatusCode::FORBIDDEN,
        "https_required",
        "this server answers only to requests made over HTTPS",
    );
    reply.into_response()
}

/// Scheme and authority under which the caller reached this server: `https://a8.example.com`.
///
/// For absolute links in replies. The authority is the request's `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(pub String);

impl<S: Sync> FromRequestParts<S> for BaseUrl {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let https = &server(parts)?.https;
        let scheme = match https.holds_for(&parts.extensions, &parts.headers) {
            true => "https",
            false => "http",
        };
        let host = parts.headers.get(header::HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let authority = parts.uri.authority().cloned().or(host);
        match authority {
            Some(authority) => Ok(Self(format!("{scheme}://{authority}"))),
            None => Err(Reply::bad_request(
                "invalid_host",
                "the Host header is missing or not a host",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_speaks_of_the_scheme() {
        let https = Https {
            required: true,
            proxies: vec![parse_network("10.0.0.0/8").unwrap()],
        };
        let headers = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-proto", http::HeaderValue::from_static(value));
            }
            headers
        };
        let proxy = Some("10.1.2.3:4".parse().unwrap());
        let mapped = Some("[::ffff:10.1.2.3]:4".parse().unwrap());
        let stranger = Some("192.0.2.1:4".parse().unwrap());
        assert!(https.holds(proxy, &headers(&["https"])));
        assert!(https.holds(mapped, &headers(&["https"])));
        assert!(!https.holds(proxy, &headers(&["http"])));
        assert!(!https.holds(proxy, &headers(&["https", "http"])));
        assert!(!https.holds(proxy, &headers(&[])));
        assert!(!https.holds(stranger, &headers(&["https"])));
        assert!(!https.holds(None, &headers(&["https"])));
    }

    #[test]
    fn networks_and_addresses_are_read() {
        assert!(parse_network("::1").is_some());
        assert!(parse_network("10.0.0.1").is_some());
        for text in ["", "10.0.0.0/33", "example.com"] {
            assert!(parse_network(text).is_none(), "{text}");
        }
    }
}
