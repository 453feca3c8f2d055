//! When a rule holds: who calls, and what the head of the request says.

use std::sync::Arc;

use http::HeaderName;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::pattern::Pattern;
use crate::model::{Identity, ServiceName, Tags};

/// The conditions of a rule. At least one is there, and all that are there must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Match {
    /// The caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// Every one of these headers must be there and match.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>, required = false)]
    pub headers: Headers,
    /// Each of these must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64, required = false)]
    pub all: Vec<Condition>,
    /// At least one of these must hold, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64, required = false)]
    pub any: Vec<Condition>,
    /// None of these may hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 64, required = false)]
    pub none: Vec<Condition>,
}

impl Match {
    /// All header patterns, wherever they stand.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        [&self.all, &self.any, &self.none]
            .into_iter()
            .flatten()
            .map(|c| &c.headers)
            .chain([&self.headers])
            .flat_map(Headers::iter)
            .map(|h| &h.pattern)
    }
}

/// Who calls, and headers; both must hold where both are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Condition {
    /// The caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// Every one of these headers must be there and match.
    #[serde(skip_serializing_if = "Headers::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>, required = false)]
    pub headers: Headers,
}

/// A calling service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Caller {
    /// Its name.
    #[schema(value_type = String)]
    pub name: ServiceName,
    /// All of these must be among the caller's tags.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    pub tags: Tags,
}

impl Caller {
    /// Whether `caller` is meant.
    pub fn is(&self, caller: &Identity) -> bool {
        self.name == caller.service && caller.tags.contains_all(&self.tags)
    }
}

/// Patterns by header, in the order of the names as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub(super) Arc<[Header]>);

impl Headers {
    /// The patterns.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.0.len()))?;
        for header in self.iter() {
            map.serialize_entry(&header.written, &header.pattern)?;
        }
        map.end()
    }
}

/// One header that must be there and match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name in the spelling of the rule, for people.
    pub written: Arc<str>,
    /// The name.
    pub name: HeaderName,
    /// What one of its values must match, as a whole.
    pub pattern: Pattern,
}
