//! The settings that every server has.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Https, https};
use crate::config::{Group, Kind, Place, Setting, Settings};

const SECOND: Duration = Duration::from_secs(1);

/// The settings of a server's port.
pub const SETTINGS: Group = Group {
    title: "Server",
    settings: &[
        Setting::new(
            "api_port",
            Kind::ListenPort,
            "Port of the REST API; 0 takes any that is free",
        )
        .or("8080"),
        Setting::new("api_host", Kind::Text, "Address that the API listens on").or("0.0.0.0"),
        Setting::new(
            "require_https",
            Kind::Bool,
            "Answer 403 to requests that did not come over HTTPS",
        )
        .or("false"),
        Setting::new(
            "trusted_proxies",
            Kind::List,
            "Addresses or networks of proxies whose X-Forwarded-Proto is believed",
        ),
        Setting::new(
            "max_connections",
            Kind::Integer {
                min: 1,
                max: 1_000_000,
            },
            "Connections served at once; more wait to be accepted",
        )
        .or("10000"),
        Setting::new(
            "request_timeout",
            Kind::Duration {
                min: SECOND,
                max: Duration::from_secs(3600),
            },
            "Time until an answer must have begun",
        )
        .or("30s"),
        Setting::new(
            "drain_timeout",
            Kind::DURATION,
            "Time that requests in flight have to end once the server stops",
        )
        .or("15s"),
    ],
};

/// Which of them say where it answers.
pub const PLACE: Place = Place {
    host: "api_host",
    port: "api_port",
};

/// Bounds on what callers may take of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a request's head.
    pub head: usize,
    /// Time for a request's head to arrive: the first one of a connection from its beginning,
    /// a later one from its first byte.
    pub head_timeout: Duration,
    /// Time from one request on a kept connection to the end of the next one's head. Longer
    /// than clients keep connections that they do not use, so that they let go first.
    pub idle_timeout: Duration,
    /// Time that a peer may take nothing of what is sent to it.
    pub stall_timeout: Duration,
    /// Time until an answer must have begun.
    pub request_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            body: 1024 * 1024,
            head: 64 * 1024,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            stall_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// A server's port and bounds.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether plain HTTP is refused, and which proxies may speak of the scheme.
    pub https: Https,
    /// Bounds.
    pub limits: Limits,
    /// How long requests in flight may go on once the server stops.
    pub drain_timeout: Duration,
}

impl Config {
    /// Reads [`SETTINGS`].
    pub fn read(settings: &Settings) -> Self {
        let host = settings.text("api_host").unwrap_or_default();
        let host = host.parse::<IpAddr>().unwrap_or_else(|_| {
            settings.refuse("api_host", format!("{host:?} is not an IP address"));
            IpAddr::from([0, 0, 0, 0])
        });
        let mut proxies = Vec::new();
        for text in settings.list("trusted_proxies") {
            match https::parse_network(&text) {
                Some(network) => proxies.push(network),
                None => settings.refuse(
                    "trusted_proxies",
                    format!("{text:?} is neither an address nor a network"),
                ),
            }
        }
        let defaults = Limits::default();
        Self {
            address: SocketAddr::new(host, settings.port("api_port").unwrap_or_default()),
            https: Https {
                required: settings.flag("require_https"),
                proxies,
            },
            limits: Limits {
                connections: settings
                    .count("max_connections")
                    .unwrap_or(defaults.connections),
                request_timeout: settings.duration("request_timeout"),
                ..defaults
            },
            drain_timeout: settings.duration("drain_timeout"),
        }
    }
}
