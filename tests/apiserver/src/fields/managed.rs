//! `managedFields`: which manager wrote which fields, and when.

use serde_json::{Value, json};

use super::{Fields, changed};
use crate::api::call::Call;
use crate::builtin;
use crate::kinds::Kind;
use crate::object;
use crate::schema::Schema;

/// What one manager wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    pub(crate) version: String,
    pub(crate) part: String,
    pub(crate) time: String,
    pub(crate) fields: Fields,
}

impl Manager {
    /// One that has written nothing yet.
    pub(crate) fn new(name: String, operation: &str, kind: &Kind, part: &str) -> Self {
        Self {
            name,
            operation: operation.to_owned(),
            version: kind.api_version(),
            part: part.to_owned(),
            time: object::now(),
            fields: Fields::default(),
        }
    }

    /// Whether two are the same, whatever they wrote.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.operation == other.operation
            && self.part == other.part
            && (self.operation == "Apply" || self.version == other.version)
    }
}

/// The managers of an object.
pub(crate) fn read(object: &Value) -> Vec<Manager> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            Manager {
                name: text("manager"),
                operation: text("operation"),
                version: text("apiVersion"),
                part: text("subresource"),
                time: text("time"),
                fields: Fields::decode(&entry["fieldsV1"]),
            }
        })
        .collect()
}

/// Writes the managers into an object.
pub(crate) fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.sort_by(|a, b| {
        let key = |m: &Manager| {
            let texts = [&m.operation, &m.time, &m.name, &m.version, &m.part];
            texts.map(String::clone)
        };
        key(a).cmp(&key(b))
    });
    let entries: Vec<_> = managers
        .into_iter()
        .filter(|manager| !manager.fields.is_empty())
        .map(|manager| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": manager.version,
                "time": manager.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": manager.fields.encode(),
            });
            if !manager.part.is_empty() {
                entry["subresource"] = manager.part.into();
            }
            entry
        })
        .collect();
    let entries = (!entries.is_empty()).then_some(Value::Array(entries));
    object::set_meta(object, "managedFields", entries);
}

/// The schema as fields are counted by: custom kinds leave the metadata out of theirs.
pub(crate) fn schema_of(kind: &Kind) -> Schema {
    let mut schema = kind.schema().resolve().clone();
    let meta = "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    schema.properties.insert(
        "metadata".into(),
        Schema {
            reference: Some(meta.into()),
            ..Schema::default()
        },
    );
    for name in ["apiVersion", "kind"] {
        schema.properties.entry(name.into()).or_default();
    }
    schema
}

/// Without what nobody manages, and without what the part that is written leaves alone.
pub(crate) fn countable(fields: Fields, kind: &Kind, part: &str) -> Fields {
    let mut fields = fields.without(&["apiVersion"]).without(&["kind"]);
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        fields = fields.without(&["metadata", name]);
    }
    match part {
        "status" => fields.only("status"),
        _ if kind.status => fields.without(&["status"]),
        _ => fields,
    }
}

/// Writes down who changed what, other than by applying.
pub(crate) fn update(
    call: &Call<'_>,
    kind: &Kind,
    old: Option<&Value>,
    object: &mut Value,
    part: &str,
) {
    let schema = schema_of(kind);
    let plain = |object: &Value| {
        let mut object = object.clone();
        object::set_meta(&mut object, "managedFields", None);
        object
    };
    let was = match old {
        Some(old) => plain(old),
        None if kind.custom().is_some() => json!({"metadata": {}}),
        None => builtin::blank(kind),
    };
    let is = plain(object);
    let change = changed(Some(&was), Some(&is), Some(&schema));
    let set = countable(change.set, kind, part);
    let mut managers = read(object);
    let own = Manager::new(call.manager(), "Update", kind, part);
    for manager in &mut managers {
        let left = manager.fields.minus(&change.gone);
        let left = if manager.is(&own) {
            left
        } else {
            left.minus(&set)
        };
        manager.fields = left;
    }
    if !set.is_empty() {
        match managers.iter_mut().find(|manager| manager.is(&own)) {
            Some(manager) => {
                let union = manager.fields.union(&set);
                if union != manager.fields {
                    manager.fields = union;
                }
                manager.time = own.time;
            }
            None => managers.push(Manager { fields: set, ..own }),
        }
    }
    write(object, managers);
}
