//! Where a process that runs by a configuration is asked for its health.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::setting::Component;
use super::{Exit, Settings};

/// What a process answers of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Whether it lives.
    Health,
    /// Whether it takes requests.
    Ready,
}

impl Page {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Ready => "ready",
        }
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Ready => "/ready",
        }
    }
}

/// What is to be asked of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Where the process answers. It does so in clear, whatever it demands of others.
    pub address: SocketAddr,
    /// What it is asked for.
    pub page: Page,
}

impl Question {
    /// Asks what listens on `address`: by way of loopback where that is all addresses.
    pub fn of_listener(mut address: SocketAddr, page: Page) -> Self {
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Self { address, page }
    }
}

/// The question for the process that runs by `settings`. What else they say is not looked at:
/// whoever asks may have been told less than the process was.
pub(super) fn question(component: &Component, settings: &Settings, page: Page) -> Exit {
    let place = component.health;
    let host = settings.parsed::<IpAddr>(place.host);
    let port = settings.port(place.port);
    if port == Some(0) {
        settings.refuse(
            place.port,
            "is 0: which port it took, the process alone knows",
        );
    }
    let problems = settings.problems();
    match (host, port) {
        (Some(host), Some(port)) if problems.is_empty() => Exit {
            code: 0,
            text: String::new(),
            question: Some(Question::of_listener(SocketAddr::new(host, port), page)),
        },
        _ => Exit::problems(component, &problems),
    }
}
