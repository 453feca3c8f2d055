//! One instance as the proxy sees it, shared by all workers and by every backend it is in.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use a8_common::model::{Authority, EndpointType, HttpVersion, Instance, InstanceId};
use http::HeaderValue;
use rustls::pki_types::ServerName;

use super::addresses::Addresses;
use super::metrics::Gauge;

/// What an endpoint without a port means.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// A name, looked up ahead of time and again and again.
    Name(Arc<str>, u16),
}

/// What a request is about, as far as it decides which version of HTTP carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Either version will do.
    Http,
    /// Only HTTP/2 carries it.
    Grpc,
    /// Only HTTP/1 carries what it asks for.
    Upgrade,
}

/// The version of HTTP that is wanted of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    One,
    Two,
    /// What the instance prefers; it is not known yet.
    Either,
}

/// One instance that can be connected to. It lives as long as its endpoint and the version of
/// HTTP that it declares do: a change of rules, or of its tags, leaves it and its connections
/// alone.
#[derive(Debug)]
pub struct Upstream {
    /// Tells it from every other one of this process; pools are kept by it.
    pub key: u64,
    /// The instance's id at its source.
    pub id: InstanceId,
    /// How its endpoint is spoken to.
    pub kind: EndpointType,
    /// Where to connect to.
    pub target: Target,
    /// The addresses that the target stands for now.
    pub addresses: Addresses,
    /// `host:port`, for logs and replies.
    pub label: Box<str>,
    /// The `Host` of requests to an endpoint that is given by name.
    pub host: Option<HeaderValue>,
    /// Open connections to instances of its service.
    pub connections: Arc<Gauge>,
    /// The name that its certificate must bear; without it, it is spoken to in clear.
    pub(super) tls: Option<ServerName<'static>>,
    declared: Option<HttpVersion>,
    /// What the latest TLS handshake agreed on: 0 is nothing yet, else the version.
    negotiated: AtomicU8,
    in_flight: AtomicU32,
    open: AtomicU32,
    gone: AtomicBool,
}

/// Why an instance cannot be connected to by this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable(pub EndpointType);

impl Upstream {
    /// The proxy's view of `instance`.
    ///
    /// # Errors
    /// [`Unusable`] when the endpoint is of a kind that has no connections, or has no port.
    pub fn new(instance: &Instance, connections: Arc<Gauge>) -> Result<Self, Unusable> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let kind = instance.endpoint.kind();
        let default = match kind {
            EndpointType::Http => Some(HTTP_PORT),
            EndpointType::Https => Some(HTTPS_PORT),
            EndpointType::Tcp => None,
            EndpointType::Udp | EndpointType::User => return Err(Unusable(kind)),
        };
        let Authority { host, port } = instance.endpoint.authority().map_err(|_| Unusable(kind))?;
        let port_or_default = port.or(default).ok_or(Unusable(kind))?;
        let tls = match kind {
            EndpointType::Https => {
                Some(ServerName::try_from(host.to_string()).map_err(|_| Unusable(kind))?)
            }
            _ => None,
        };
        let (target, label, host) = match host.parse::<IpAddr>() {
            Ok(ip) => {
                let address = SocketAddr::new(ip, port_or_default);
                (Target::Address(address), address.to_string(), None)
            }
            Err(_) => {
                let written = match port {
                    Some(given) if port != default => {
                        HeaderValue::from_str(&format!("{host}:{given}"))
                    }
                    _ => HeaderValue::from_str(&host),
                };
                let label = format!("{host}:{port_or_default}");
                (Target::Name(host, port_or_default), label, written.ok())
            }
        };
        Ok(Self {
            key: NEXT.fetch_add(1, Ordering::Relaxed),
            id: instance.id.clone(),
            addresses: match &target {
                Target::Address(address) => Addresses::fixed(*address),
                Target::Name(..) => Addresses::unknown(),
            },
            kind,
            target,
            label: label.into(),
            host,
            connections,
            tls,
            declared: instance.http_version(),
            negotiated: AtomicU8::new(0),
            in_flight: AtomicU32::new(0),
            open: AtomicU32::new(0),
            gone: AtomicBool::new(false),
        })
    }

    /// Which version is to carry a request.
    pub(super) fn want(&self, traffic: Traffic) -> Want {
        let known = match (self.declared, self.negotiated.load(Ordering::Relaxed)) {
            (Some(HttpVersion::One), _) | (None, 1) => Some(Want::One),
            (Some(HttpVersion::Two), _) | (None, 2) => Some(Want::Two),
            (None, _) => None,
        };
        match (traffic, known) {
            // One that speaks HTTP/2 only would take HTTP/1 for a failure: it is asked in its own
            // way, and what cannot be offered there is left out (RFC 9110, 7.8).
            (Traffic::Upgrade, _) if self.declared == Some(HttpVersion::Two) => Want::Two,
            (Traffic::Upgrade, _) => Want::One,
            (_, Some(known)) => known,
            (_, None) if self.tls.is_some() => Want::Either,
            (Traffic::Grpc, None) => Want::Two,
            (Traffic::Http, None) => Want::One,
        }
    }

    /// Whether it says itself which version it speaks.
    pub(super) fn is_declared(&self) -> bool {
        self.declared.is_some()
    }

    /// What a TLS handshake that left the choice to the instance has ended in.
    pub(super) fn agreed_on(&self, http2: bool) {
        let version = if http2 { 2 } else { 1 };
        self.negotiated.store(version, Ordering::Relaxed);
    }

    /// Whether it takes requests. Any instance takes byte streams.
    pub fn speaks_http(&self) -> bool {
        matches!(self.kind, EndpointType::Http | EndpointType::Https)
    }

    /// Requests that wait for a response or are reading one.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Open connections, busy or idle.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether configuration has taken it away: its idle connections are then closed.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Marks it as taken away.
    pub fn retire(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

/// Counts a request in flight for as long as it lives.
#[derive(Debug)]
pub(super) struct InFlight(pub(super) Arc<Upstream>);

impl InFlight {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        upstream.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(upstream)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
pub(super) struct Open(Arc<Upstream>);

impl Open {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        upstream.open.fetch_add(1, Ordering::Relaxed);
        upstream.connections.add(1);
        Self(upstream)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.connections.add(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(kind: &str, value: &str) -> Result<Upstream, Unusable> {
        let text = format!(
            r#"{{"id":"i","service_name":"s","endpoint":{{"type":"{kind}","value":"{value}"}}}}"#
        );
        Upstream::new(&serde_json::from_str(&text).unwrap(), Arc::default())
    }

    #[test]
    fn an_address_is_dialled_as_it_is_and_a_name_is_the_host_too() {
        let by_address = upstream("http", "10.0.0.7:9080").unwrap();
        assert_eq!(&*by_address.label, "10.0.0.7:9080");
        assert_eq!(by_address.host, None);
        let ipv6 = upstream("http", "[::1]:9080").unwrap();
        assert_eq!(ipv6.target, Target::Address("[::1]:9080".parse().unwrap()));
        let by_name = upstream("http", "http://shop.example/x").unwrap();
        assert_eq!(by_name.target, Target::Name("shop.example".into(), 80));
        assert_eq!(by_name.host.unwrap(), "shop.example");
        assert_eq!(upstream("http", "a:81").unwrap().host.unwrap(), "a:81");
    }

    #[test]
    fn the_version_follows_what_is_declared_then_agreed_on_then_needed() {
        let plain = upstream("http", "10.0.0.7:9080").unwrap();
        let of = |u: &Upstream| {
            [Traffic::Http, Traffic::Grpc, Traffic::Upgrade].map(|traffic| u.want(traffic))
        };
        assert_eq!(of(&plain), [Want::One, Want::Two, Want::One]);
        let tls = upstream("https", "shop.example").unwrap();
        assert_eq!(of(&tls), [Want::Either, Want::Either, Want::One]);
        assert_eq!(&*tls.label, "shop.example:443");
        tls.agreed_on(true);
        assert_eq!(of(&tls), [Want::Two, Want::Two, Want::One]);
        let text = r#"{"id":"i","service_name":"s","metadata":{"protocol":"h2"},
            "endpoint":{"type":"http","value":"10.0.0.7:9080"}}"#;
        let declared = Upstream::new(&serde_json::from_str(text).unwrap(), Arc::default());
        assert_eq!(of(&declared.unwrap()), [Want::Two, Want::Two, Want::Two]);
    }

    #[test]
    fn what_can_be_connected_to_and_what_takes_requests() {
        for (kind, value, want) in [
            ("http", "a", Some(true)),
            ("https", "a", Some(true)),
            ("tcp", "a:1", Some(false)),
            ("tcp", "a", None),
            ("udp", "a:1", None),
            ("user", "x", None),
        ] {
            let made = upstream(kind, value).ok();
            assert_eq!(made.map(|u| u.speaks_http()), want, "{kind} {value}");
        }
    }
}
