//! Schemas: of the built-in kinds, as the real server publishes them, and of custom ones.

pub(crate) mod cel;
pub(crate) mod decode;
pub(crate) mod default;
pub(crate) mod empty;
pub(crate) mod prune;
pub(crate) mod read;
pub(crate) mod structural;
pub(crate) mod validate;

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The published schemas of the built-in kinds, without their descriptions.
pub(crate) static DEFINITIONS: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(|| {
    serde_json::from_str(DEFINITIONS_TEXT).expect("tested: the file is read by every test")
});

/// The same as text.
pub(crate) const DEFINITIONS_TEXT: &str = include_str!("../data/definitions.json");

/// What a value may be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Schema {
    #[serde(rename = "$ref")]
    pub(crate) reference: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) properties: BTreeMap<String, Schema>,
    pub(crate) additional_properties: Option<Additional>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) required: Vec<String>,
    #[serde(rename = "enum")]
    pub(crate) one_of_these: Option<Vec<Value>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) nullable: bool,
    #[serde(deserialize_with = "some_value")]
    pub(crate) default: Option<Value>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub(crate) preserve_unknown: bool,
    #[serde(rename = "x-kubernetes-embedded-resource")]
    pub(crate) embedded: bool,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(crate) int_or_string: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(crate) list_type: Option<String>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(crate) list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub(crate) map_type: Option<String>,
    #[serde(rename = "x-kubernetes-patch-merge-key")]
    pub(crate) merge_key: Option<String>,
    #[serde(rename = "x-kubernetes-patch-strategy")]
    pub(crate) merge_strategy: Option<String>,
    #[serde(rename = "x-kubernetes-validations")]
    pub(crate) rules: Vec<Value>,
}

/// What members may be that no property names.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Additional {
    /// Anything, or nothing.
    Any(bool),
    /// Something.
    Schema(Box<Schema>),
}

/// A pattern, compiled when it is needed.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// `None` for one that is no pattern.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        self.compiled
            .get_or_init(|| Regex::new(&self.text).ok())
            .as_ref()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self {
            text: String::deserialize(from)?,
            compiled: OnceLock::new(),
        })
    }
}

/// Tells `default: null` from no default.
fn some_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Schema {
    /// The schema itself, or the one it refers to.
    pub(crate) fn resolve(&self) -> &Schema {
        let mut at = self;
        while let Some(name) = at.definition() {
            match DEFINITIONS.get(name) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    /// The name of the definition that it refers to.
    pub(crate) fn definition(&self) -> Option<&str> {
        self.reference.as_deref()?.rsplit('/').next()
    }

    /// What the members that no property names may be.
    pub(crate) fn other_members(&self) -> Option<&Schema> {
        match &self.additional_properties {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// The schema of a member.
    pub(crate) fn member(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or_else(|| self.other_members())
    }
}

/// The schema of a definition of the built-in kinds.
pub(crate) fn definition(name: &str) -> &'static Schema {
    DEFINITIONS
        .get(name)
        .unwrap_or_else(|| panic!("no definition {name}"))
}

/// The schema of the metadata of every object.
pub(crate) fn object_meta() -> &'static Schema {
    definition("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
}
