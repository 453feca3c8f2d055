//! The file form of instances.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Document, FileError};
use crate::model::{Endpoint, Instance, InstanceId, Metadata, ServiceName, Status, Tags};

/// How many faults are told.
const MAX_FAULTS: usize = 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<T> {
    instances: Vec<T>,
}

/// An entry of a document in YAML, as JSON. So there is one reader of entries, and of all
/// entries never more than one is in memory as a tree of values.
struct Json(String);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(from)?.to_string()))
    }
}

/// A registration, as it would be sent to a registry, or an instance, as one lists it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Option<InstanceId>,
    service_name: ServiceName,
    endpoint: Endpoint,
    #[serde(default)]
    ttl: u32,
    #[serde(default)]
    status: Status,
    #[serde(default)]
    tags: Tags,
    metadata: Option<Metadata>,
    #[serde(rename = "last_heartbeat")]
    _last_heartbeat: Option<IgnoredAny>,
}

impl From<Entry> for Instance {
    fn from(entry: Entry) -> Self {
        let derived = || InstanceId::derived(&entry.service_name, &entry.endpoint);
        Self {
            id: entry.id.unwrap_or_else(derived),
            service_name: entry.service_name,
            endpoint: entry.endpoint,
            ttl: entry.ttl,
            status: entry.status,
            last_heartbeat: Timestamp::UNIX_EPOCH,
            tags: entry.tags,
            metadata: entry.metadata,
        }
    }
}

/// The instances of a file that take requests.
pub(super) fn read(document: &Document<'_>) -> Result<Vec<Instance>, FileError> {
    if document.json {
        let file: File<&RawValue> = serde_json::from_str(document.text).map_err(FileError::Json)?;
        return read_all(file.instances.iter().map(|raw| raw.get()));
    }
    let file: File<Json> =
        serde_saphyr::from_str(document.text).map_err(|e| FileError::Yaml(e.to_string()))?;
    read_all(file.instances.iter().map(|json| json.0.as_str()))
}

fn read_all<'a>(
    entries: impl ExactSizeIterator<Item = &'a str>,
) -> Result<Vec<Instance>, FileError> {
    let mut faults = Vec::new();
    let mut first = BTreeMap::new();
    let mut instances = Vec::with_capacity(entries.len());
    for (at, text) in entries.enumerate() {
        let instance: Instance = match serde_json::from_str::<Entry>(text) {
            Ok(entry) => entry.into(),
            Err(e) => {
                faults.push(format!("instances[{at}]: {e}"));
                continue;
            }
        };
        match first.insert(instance.id.clone(), at) {
            Some(other) => faults.push(format!("instances[{at}] is instances[{other}] again")),
            None => instances.push(instance),
        }
    }
    if faults.is_empty() {
        instances.retain(|instance| instance.status.listed_by_default());
        return Ok(instances);
    }
    faults.truncate(MAX_FAULTS);
    Err(FileError::Instances(faults))
}
