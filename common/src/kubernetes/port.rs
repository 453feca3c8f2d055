//! How a port is spoken to: by what its `appProtocol`, its name or its protocol say.

use std::sync::Arc;

use super::PortObject;
use crate::model::{EndpointType, HttpVersion};

/// One port of a service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    pub(crate) number: u16,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) kind: EndpointType,
    /// The only version of HTTP that it speaks, where that is said.
    pub(crate) http: Option<HttpVersion>,
}

impl Port {
    /// The port of a slice, or the one that a service outside of the cluster is called at.
    /// `None` for all ports at once, and for SCTP.
    pub(crate) fn of(port: &PortObject) -> Option<Self> {
        Self::new(
            port.port?,
            port.name.as_deref(),
            port.protocol.as_deref(),
            port.app_protocol.as_deref(),
        )
    }

    fn new(
        number: i32,
        name: Option<&str>,
        protocol: Option<&str>,
        app: Option<&str>,
    ) -> Option<Self> {
        let plain = match protocol {
            None | Some("TCP") => EndpointType::Tcp,
            Some("UDP") => EndpointType::Udp,
            Some(_) => return None,
        };
        let name = name.filter(|name| !name.is_empty());
        let prefix = name.map(|name| name.split('-').next().unwrap_or(name));
        let said = match plain {
            EndpointType::Udp => None,
            _ => app.and_then(spoken).or_else(|| prefix.and_then(spoken)),
        };
        let (kind, http) = said.unwrap_or((plain, None));
        Some(Self {
            number: u16::try_from(number).ok().filter(|number| *number > 0)?,
            name: name.map(Into::into),
            kind,
            http,
        })
    }
}

/// What an `appProtocol`, or the name of a port, says.
fn spoken(word: &str) -> Option<(EndpointType, Option<HttpVersion>)> {
    let two = Some(HttpVersion::Two);
    Some(match word.to_ascii_lowercase().as_str() {
        "http" | "kubernetes.io/ws" => (EndpointType::Http, None),
        "https" | "kubernetes.io/wss" => (EndpointType::Https, None),
        "grpc" | "h2c" | "http2" | "kubernetes.io/h2c" => (EndpointType::Http, two),
        "tcp" => (EndpointType::Tcp, None),
        _ => return None,
    })
}
