//! The body of a registration, and its answer.

use std::time::Duration;

use a8_common::http::{JsonBody, Reply};
use a8_common::model::{
    Endpoint, EndpointType, Metadata, ServiceName, Status, StatusError, Tag, Tags,
};
use a8_common::registration::Announcement;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::reply::bad;
use crate::catalog::Registered;

/// What an instance says of itself when it registers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// The service that it is an instance of.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    service_name: ServiceName,
    endpoint: EndpointBody,
    /// Seconds to live without a heartbeat; 0 or absent is the default. Clamped to the
    /// registry's bounds: the answer says what was granted.
    #[schema(minimum = 0, format = "uint64")]
    ttl: Option<u64>,
    /// UP (when absent), STARTING, OUT_OF_SERVICE or a word of the user's own.
    #[schema(value_type = Option<String>, max_length = 32)]
    status: Option<String>,
    /// What rules pick it by.
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Vec<Tag>>,
    /// Any JSON of at most 1024 bytes, kept byte for byte.
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<Box<RawValue>>,
}

/// Where an instance listens.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointBody {
    /// http, https, tcp, udp or user.
    #[serde(rename = "type")]
    #[schema(value_type = EndpointType)]
    kind: Option<EndpointType>,
    /// host, host:port, or a URL for http, https and user.
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    value: Option<String>,
}

impl Registration {
    /// Reads the body.
    pub(super) fn parse(body: &JsonBody) -> Result<Announcement, Reply> {
        // A list would otherwise be read as the members in their order.
        if body
            .0
            .trim_ascii_start()
            .first()
            .is_some_and(|b| *b != b'{')
        {
            return Err(bad("the body must be a JSON object"));
        }
        body.parse::<Self>()?.checked()
    }

    fn checked(self) -> Result<Announcement, Reply> {
        let member = |name: &'static str| move |reason: String| bad(format!("{name}: {reason}"));
        let missing = || "is missing".to_owned();
        let kind = self
            .endpoint
            .kind
            .ok_or_else(missing)
            .map_err(member("endpoint.type"))?;
        let value = self
            .endpoint
            .value
            .ok_or_else(missing)
            .map_err(member("endpoint.value"))?;
        let endpoint = Endpoint::new(kind, &value)
            .map_err(|e| e.to_string())
            .map_err(member("endpoint.value"))?;
        let status = match self.status.as_deref() {
            None | Some("") => Status::Up,
            Some(text) => text
                .parse()
                .map_err(|e: StatusError| e.to_string())
                .map_err(member("status"))?,
        };
        let metadata = self
            .metadata
            .filter(|json| json.get() != "null")
            .map(Metadata::new);
        if let Some(long) = metadata
            .as_ref()
            .filter(|m| m.as_str().len() > Metadata::MAX_BYTES)
        {
            let (got, max) = (long.as_str().len(), Metadata::MAX_BYTES);
            return Err(member("metadata")(format!(
                "has {got} bytes, at most {max} are allowed"
            )));
        }
        let tags = Tags::from(self.tags.unwrap_or_default());
        if tags.len() > MAX_TAGS {
            return Err(member("tags")(format!(
                "are {}, at most {MAX_TAGS} are allowed",
                tags.len()
            )));
        }
        Ok(Announcement {
            service_name: self.service_name,
            endpoint,
            ttl: self.ttl.map(Duration::from_secs),
            status,
            tags,
            metadata,
        })
    }
}

/// More tags than any instance has use for.
const MAX_TAGS: usize = 128;

/// A registration as it was granted.
#[derive(Serialize, ToSchema)]
pub(super) struct Granted {
    /// The name to renew and leave by.
    id: String,
    /// Seconds that it lives without a heartbeat.
    ttl: u32,
    links: Links,
}

/// Where to go on, as absolute URLs.
#[derive(Serialize, ToSchema)]
struct Links {
    /// The instance.
    #[serde(rename = "self")]
    own: String,
    /// Its heartbeat.
    heartbeat: String,
}

impl Granted {
    /// With links below `base`, the address that the caller knows this registry by.
    pub(super) fn new(registered: &Registered, base: &str) -> Self {
        let own = format!("{base}/api/v1/instances/{}", registered.id);
        Self {
            id: registered.id.to_string(),
            ttl: registered.ttl,
            links: Links {
                heartbeat: format!("{own}/heartbeat"),
                own,
            },
        }
    }

    /// The instance's own URL.
    pub(super) fn location(&self) -> &str {
        &self.links.own
    }
}
