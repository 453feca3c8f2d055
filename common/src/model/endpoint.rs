//! Where an instance listens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an endpoint is spoken to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EndpointType {
    /// HTTP in clear.
    Http,
    /// HTTP over TLS.
    Https,
    /// A byte stream.
    Tcp,
    /// Datagrams.
    Udp,
    /// Something that only the services themselves understand.
    User,
}

impl EndpointType {
    /// All of them, for messages and schemas.
    pub const ALL: [Self; 5] = [Self::Http, Self::Https, Self::Tcp, Self::Udp, Self::User];

    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::User => "user",
        }
    }
}

impl fmt::Display for EndpointType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EndpointType {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str() == text)
            .ok_or(EndpointError::Type)
    }
}

/// Why a text is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not one of the known types.
    #[error("must be one of http, https, tcp, udp, user")]
    Type,
    /// No value given.
    #[error("must not be empty")]
    Empty,
    /// The value has more bytes than allowed.
    #[error("has {got} bytes, at most {max} are allowed", max = Endpoint::MAX_BYTES)]
    TooLong {
        /// Bytes of the refused value.
        got: usize,
    },
    /// The value is neither `host[:port]` nor, where one may stand, a URL.
    #[error("must be host, host:port or a URL: {0}")]
    Value(&'static str),
}

/// Type and address of an instance: `http 10.0.0.7:9080`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Unchecked")]
pub struct Endpoint {
    #[serde(rename = "type")]
    kind: EndpointType,
    /// host, host:port, or a URL for http, https and user.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    value: Arc<str>,
}

#[derive(Deserialize)]
struct Unchecked {
    #[serde(rename = "type")]
    kind: EndpointType,
    value: String,
}

impl TryFrom<Unchecked> for Endpoint {
    type Error = EndpointError;
    fn try_from(given: Unchecked) -> Result<Self, EndpointError> {
        Self::new(given.kind, &given.value)
    }
}

/// Host and port of an endpoint. A host is a name or an IP address without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// Name or address; an IPv6 address has no brackets here.
    pub host: Arc<str>,
    /// The port, when one was given.
    pub port: Option<u16>,
}

impl Endpoint {
    /// The longest allowed value, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Checks and takes an address.
    ///
    /// # Errors
    /// [`EndpointError`] says what is wrong with the value.
    pub fn new(kind: EndpointType, value: &str) -> Result<Self, EndpointError> {
        if value.is_empty() {
            return Err(EndpointError::Empty);
        }
        if value.len() > Self::MAX_BYTES {
            return Err(EndpointError::TooLong { got: value.len() });
        }
        if value.chars().any(|c| c.is_control() || c == ' ') {
            return Err(EndpointError::Value(
                "blanks and control characters are not allowed",
            ));
        }
        let endpoint = Self {
            kind,
            value: value.into(),
        };
        if kind != EndpointType::User {
            authority(endpoint.host_part()?)?;
        }
        Ok(endpoint)
    }

    /// How it is spoken to.
    pub fn kind(&self) -> EndpointType {
        self.kind
    }

    /// The address as given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Host and port, taken out of a URL where the value is one.
    ///
    /// # Errors
    /// Only an endpoint of type [`User`](EndpointType::User) can lack a host.
    pub fn authority(&self) -> Result<Authority, EndpointError> {
        authority(self.host_part()?)
    }

    /// What stands where host and port stand.
    fn host_part(&self) -> Result<&str, EndpointError> {
        let Some((scheme, rest)) = self.value.split_once("://") else {
            return Ok(&self.value);
        };
        match self.kind {
            EndpointType::Http | EndpointType::Https if scheme != self.kind.as_str() => {
                return Err(EndpointError::Value(
                    "the URL's scheme differs from the type",
                ));
            }
            EndpointType::Tcp | EndpointType::Udp => {
                return Err(EndpointError::Value(
                    "a URL is for http, https and user only",
                ));
            }
            EndpointType::Http | EndpointType::Https | EndpointType::User => {}
        }
        Ok(rest.split(['/', '?', '#']).next().unwrap_or(rest))
    }
}

fn authority(text: &str) -> Result<Authority, EndpointError> {
    let bad = EndpointError::Value;
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(bad("the '[' is never closed"))?;
        host.parse::<std::net::Ipv6Addr>()
            .map_err(|_| bad("no IPv6 address in the brackets"))?;
        match rest {
            "" => (host, None),
            _ => (
                host,
                Some(
                    rest.strip_prefix(':')
                        .ok_or(bad("no ':' after the brackets"))?,
                ),
            ),
        }
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(bad("the host is missing"));
    }
    if host.contains(['/', '@', '?', '#', '\\', '%']) {
        return Err(bad("the host has a character that no host has"));
    }
    let port = match port {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(bad("the port must be 1 to 65535")),
        },
        Some(_) => return Err(bad("the port must be a number")),
        None => None,
    };
    Ok(Authority {
        host: host.into(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(kind: EndpointType, value: &str) -> Result<(String, Option<u16>), EndpointError> {
        let a = Endpoint::new(kind, value)?.authority()?;
        Ok((a.host.to_string(), a.port))
    }

    #[test]
    fn host_and_port_are_found_in_every_form() {
        use EndpointType::{Http, Https, Tcp};
        assert_eq!(
            parts(Http, "10.0.0.1:80"),
            Ok(("10.0.0.1".into(), Some(80)))
        );
        assert_eq!(parts(Http, "reviews"), Ok(("reviews".into(), None)));
        assert_eq!(
            parts(Https, "https://a.b:8443/x?y"),
            Ok(("a.b".into(), Some(8443)))
        );
        assert_eq!(parts(Tcp, "[::1]:6379"), Ok(("::1".into(), Some(6379))));
        assert_eq!(parts(Tcp, "::1"), Ok(("::1".into(), None)));
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for value in [
            "",
            ":80",
            "a:0",
            "a:70000",
            "a:+1",
            "[::1",
            "[x]:1",
            "a b",
            "https://a",
            "u@h",
        ] {
            assert!(Endpoint::new(EndpointType::Http, value).is_err(), "{value}");
        }
        assert!(Endpoint::new(EndpointType::Tcp, "tcp://a:1").is_err());
        assert!(Endpoint::new(EndpointType::Http, &"a".repeat(129)).is_err());
        assert!(Endpoint::new(EndpointType::User, "anything/at:all").is_ok());
    }
}
