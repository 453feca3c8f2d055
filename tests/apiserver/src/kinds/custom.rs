//! What a definition says about a kind.

use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Origin};
use crate::schema::Schema;
use crate::schema::cel::Rules;

/// What is particular about a custom kind.
pub(crate) struct Custom {
    pub(crate) schema: Schema,
    /// The same as it was written, for what is published.
    pub(crate) written: Value,
    pub(crate) rules: Rules,
    pub(crate) columns: Vec<Column>,
    /// What else it can be selected by.
    pub(crate) fields: Vec<String>,
    /// The version in which its objects are kept.
    pub(crate) stored: String,
    /// The schema of that version.
    pub(crate) stored_schema: Schema,
    /// What to say to those who use this version, where it is on its way out.
    pub(crate) deprecation: Option<String>,
    /// The name of the definition.
    pub(crate) definition: String,
}

/// What `kubectl get` shows.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    pub(crate) path: String,
}

fn texts(list: &Value) -> Vec<String> {
    crate::metadata::texts(list)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// The kinds that a definition, which is valid, adds: one for each version that is served.
pub(crate) fn kinds(definition: &Value) -> Vec<Kind> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let group = text(&spec["group"]);
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    let stored = versions.iter().find(|version| version["storage"] == true);
    let stored_schema: Schema = stored
        .and_then(|version| {
            serde_json::from_value(version["schema"]["openAPIV3Schema"].clone()).ok()
        })
        .unwrap_or_default();
    let stored = stored
        .map(|version| text(&version["name"]))
        .unwrap_or_default();
    let served = versions.iter().filter(|version| version["served"] == true);
    served
        .map(|version| {
            let name = text(&version["name"]);
            let kind = text(&names["kind"]);
            let written = version["schema"]["openAPIV3Schema"].clone();
            let deprecated = version["deprecated"] == true;
            let custom = Custom {
                schema: serde_json::from_value(written.clone()).unwrap_or_default(),
                rules: Rules::compile(&written, &group, &name, &kind),
                columns: columns(version),
                fields: version["selectableFields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
                    .collect(),
                stored: stored.clone(),
                stored_schema: stored_schema.clone(),
                deprecation: deprecated.then(|| {
                    let given = version["deprecationWarning"].as_str().map(str::to_owned);
                    given.unwrap_or_else(|| format!("{group}/{name} {kind} is deprecated"))
                }),
                definition: crate::object::name(definition).to_owned(),
                written,
            };
            Kind {
                list_kind: text(&names["listKind"]),
                plural: text(&names["plural"]),
                singular: text(&names["singular"]),
                short: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                namespaced: spec["scope"] == "Namespaced",
                status: version["subresources"]["status"].is_object(),
                table: format!("{group}/{}", text(&names["plural"])).into(),
                origin: Origin::Custom(Arc::new(custom)),
                group: group.clone(),
                version: name,
                kind,
            }
        })
        .collect()
}

fn columns(version: &Value) -> Vec<Column> {
    let given = version["additionalPrinterColumns"].as_array();
    let columns: Vec<_> = given
        .into_iter()
        .flatten()
        .map(|column| {
            let text = |name: &str| column[name].as_str().unwrap_or_default().to_owned();
            Column {
                name: text("name"),
                kind: text("type"),
                format: text("format"),
                description: text("description"),
                priority: column["priority"].as_i64().unwrap_or(0),
                path: text("jsonPath"),
            }
        })
        .collect();
    if !columns.is_empty() {
        return columns;
    }
    vec![Column {
        name: "Age".into(),
        kind: "date".into(),
        format: String::new(),
        description: "CreationTimestamp is a timestamp representing the server time when this \
                      object was created."
            .into(),
        priority: 0,
        path: ".metadata.creationTimestamp".into(),
    }]
}

/// Stable versions before beta ones before alpha ones, newer before older, others last.
pub(crate) fn priority(version: &str) -> (u8, u32, u32) {
    let read = || {
        let rest = version.strip_prefix('v')?;
        for (word, rank) in [("beta", 2), ("alpha", 1)] {
            if let Some((major, minor)) = rest.split_once(word) {
                return Some((rank, major.parse().ok()?, minor.parse().ok()?));
            }
        }
        Some((3, rest.parse().ok()?, 0))
    };
    read().unwrap_or((0, 0, 0))
}
