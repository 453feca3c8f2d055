//! One running copy of a service.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::endpoint::Endpoint;
use super::name::{InstanceId, ServiceName};
use super::tags::Tags;
use crate::view::{Item, json_bytes};

/// What an instance says of its own state.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Status {
    /// Takes requests.
    #[default]
    Up,
    /// Not yet.
    Starting,
    /// On purpose not; such an instance does not expire.
    OutOfService,
    /// A word of the user's own.
    Other(Arc<str>),
}

/// Why a text is not a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be UP, STARTING, OUT_OF_SERVICE or a word of 1 to {max} bytes", max = Status::MAX_BYTES)]
pub struct StatusError;

impl Status {
    /// The longest user-defined status, in bytes.
    pub const MAX_BYTES: usize = 32;

    /// The wire form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Up => "UP",
            Self::Starting => "STARTING",
            Self::OutOfService => "OUT_OF_SERVICE",
            Self::Other(word) => word,
        }
    }

    /// Whether a listing without any filter shows such an instance.
    pub fn listed_by_default(&self) -> bool {
        !matches!(self, Self::Starting | Self::OutOfService)
    }
}

/// The three known words are read in any case.
impl FromStr for Status {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        for known in [Self::Up, Self::Starting, Self::OutOfService] {
            if text.eq_ignore_ascii_case(known.as_str()) {
                return Ok(known);
            }
        }
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        if !fits
            || text
                .chars()
                .any(|c| c.is_control() || c.is_whitespace() || c == ',')
        {
            return Err(StatusError);
        }
        Ok(Self::Other(text.into()))
    }
}

impl TryFrom<String> for Status {
    type Error = StatusError;
    fn try_from(text: String) -> Result<Self, StatusError> {
        text.parse()
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any JSON, kept byte for byte.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Arc<RawValue>);

impl Metadata {
    /// The longest allowed document, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a document as it stands.
    pub fn new(document: Box<RawValue>) -> Self {
        Self(document.into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Metadata {}

/// One running copy of a service, in the wire form of the registry's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Given by the source; unique within a namespace.
    #[schema(value_type = String)]
    pub id: InstanceId,
    /// The service it belongs to.
    #[schema(value_type = String, max_length = 64)]
    pub service_name: ServiceName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Seconds without a heartbeat after which it is taken for dead.
    #[serde(default)]
    pub ttl: u32,
    /// What it says of itself: UP, STARTING, OUT_OF_SERVICE or a word of the user's own.
    #[serde(default)]
    #[schema(value_type = String, max_length = 32)]
    pub status: Status,
    /// When it was last heard of, as its source knew when it last changed.
    #[serde(default = "epoch_start")]
    #[schema(value_type = String, format = DateTime)]
    pub last_heartbeat: Timestamp,
    /// What rules pick it by.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub tags: Tags,
    /// The user's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub metadata: Option<Metadata>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[serde(rename = "http/1.1")]
    One,
    /// HTTP/2.
    #[serde(rename = "h2")]
    Two,
}

impl HttpVersion {
    /// Its name as of RFC 7301.
    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "http/1.1",
            Self::Two => "h2",
        }
    }

    /// What an instance says of itself that speaks this version only.
    pub fn metadata(self) -> Metadata {
        let document = serde_json::json!({"protocol": self.name()});
        let document = serde_json::value::to_raw_value(&document);
        Metadata::new(document.expect("a map of texts can be written"))
    }

    /// Reads the names that are in use for it: those of RFC 7301, and what Kubernetes calls
    /// `appProtocol`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "http/1.1" | "http1" => Some(Self::One),
            "h2" | "h2c" | "http2" | "grpc" | "kubernetes.io/h2c" => Some(Self::Two),
            _ => None,
        }
    }
}

impl Instance {
    /// The only version of HTTP that it speaks, if it says so by the member `protocol` of its
    /// metadata: `{"protocol": "h2"}`.
    pub fn http_version(&self) -> Option<HttpVersion> {
        #[derive(Deserialize)]
        struct Said<'a> {
            #[serde(borrow)]
            protocol: std::borrow::Cow<'a, str>,
        }
        let said: Said<'_> = serde_json::from_str(self.metadata.as_ref()?.as_str()).ok()?;
        HttpVersion::from_name(&said.protocol)
    }
}

fn epoch_start() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

impl Item for Instance {
    type Id = InstanceId;

    fn id(&self) -> &InstanceId {
        &self.id
    }

    fn bytes(&self) -> usize {
        json_bytes(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_statuses_are_read_in_any_case() {
        assert_eq!("up".parse(), Ok(Status::Up));
        assert_eq!("Out_Of_Service".parse(), Ok(Status::OutOfService));
        assert_eq!("warm".parse(), Ok(Status::Other("warm".into())));
        assert_eq!("".parse::<Status>(), Err(StatusError));
        assert_eq!("x".repeat(33).parse::<Status>(), Err(StatusError));
    }

    #[test]
    fn metadata_is_kept_byte_for_byte() {
        let text = r#"{"id":"a1","service_name":"s","endpoint":{"type":"http","value":"h:1"},"ttl":30,"status":"UP","last_heartbeat":"2026-01-01T00:00:00Z","tags":["v1"],"metadata":{"b" : 1.0,"a":[ ]}}"#;
        let instance: Instance = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&instance).unwrap(), text);
    }
}
