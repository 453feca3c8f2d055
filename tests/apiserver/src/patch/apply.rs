//! Server-side apply: the object as its manager wants it, which need not be all of it.

use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::failure::{Cause, Failure};
use crate::fields::managed::{self, Manager};
use crate::fields::{Fields, at, changed, list_keys, of_value, prune};
use crate::kinds::Kind;
use crate::object;
use crate::patch::go;
use crate::schema::{Schema, decode, prune as schema_prune};
use crate::verbs::no_name;

/// The object after what was applied. Its managers are written into it.
pub(crate) fn apply(
    call: &mut Call<'_>,
    kind: &Kind,
    live: Option<&Value>,
    wanted: Value,
) -> Result<Value, Failure> {
    let wanted = typed(call, kind, wanted, live.is_none())?;
    let part = call.target.subresource.as_str();
    let schema = managed::schema_of(kind);
    let own = Manager::new(call.manager(), "Apply", kind, part);
    let empty = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {}});
    let live = live.unwrap_or(&empty);
    let mut managers = managed::read(live);
    let last = managers
        .iter()
        .find(|manager| manager.is(&own))
        .map(|manager| manager.fields.clone())
        .unwrap_or_default();
    let set = managed::countable(of_value(&wanted, Some(&schema)), kind, part);
    let mut object = live.clone();
    object::set_meta(&mut object, "managedFields", None);
    merge(&mut object, &wanted, Some(&schema));
    // What this manager no longer wants goes, unless others want it.
    let others = managers
        .iter()
        .filter(|manager| !manager.is(&own))
        .fold(Fields::default(), |all, manager| all.union(&manager.fields));
    let gone = last.minus(&set).minus(&others);
    prune(&mut object, Some(&schema), &gone);
    let mut before = live.clone();
    object::set_meta(&mut before, "managedFields", None);
    let change = changed(Some(&before), Some(&object), Some(&schema));
    let touched = managed::countable(change.set, kind, part);
    refuse_conflicts(call, &managers, &own, &touched)?;
    for manager in &mut managers {
        if !manager.is(&own) {
            manager.fields = manager.fields.minus(&touched).minus(&change.gone);
        }
    }
    match managers.iter_mut().find(|manager| manager.is(&own)) {
        Some(manager) if manager.fields == set => {}
        Some(manager) => {
            *manager = Manager { fields: set, ..own };
        }
        None => managers.push(Manager { fields: set, ..own }),
    }
    managed::write(&mut object, managers);
    Ok(object)
}

/// What is applied has to be of the kind, and may say nothing about managers.
fn typed(call: &Call<'_>, kind: &Kind, mut wanted: Value, new: bool) -> Result<Value, Failure> {
    let Some(members) = wanted.as_object() else {
        return Err(Failure::bad_request(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot \
             unmarshal array into Go value of type map[string]interface {}",
        ));
    };
    let text = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (version, given) = (text("apiVersion").to_owned(), text("kind").to_owned());
    if version != kind.api_version() || given != kind.kind {
        let version = if version.is_empty() { "/" } else { &version };
        return Err(Failure::bad_request(format!(
            "invalid object type: {version}, Kind={given}"
        )));
    }
    if wanted["metadata"]
        .get("managedFields")
        .is_some_and(|m| !m.is_null())
    {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let what = format!(
        "{}/{}; {}/{}, Kind={}",
        object::namespace(&wanted),
        object::name(&wanted),
        kind.group,
        kind.version,
        kind.kind
    );
    if object::name(&wanted).is_empty() {
        if new {
            return Err(no_name(&call.target.name));
        }
        object::set_meta(&mut wanted, "name", Some(call.target.name.as_str().into()));
    }
    let refused = |why: &str| {
        Failure::new(
            500,
            "",
            format!("failed to create typed patch object ({what}): {why}"),
        )
    };
    let mut copy = wanted.clone();
    let decoded = match kind.custom() {
        None => decode::decode(&mut copy, kind.schema()),
        Some(custom) => {
            let mut metadata = copy["metadata"].take();
            let mut decoded = decode::decode(&mut metadata, crate::schema::object_meta());
            for path in &mut decoded.unknown {
                *path = format!("metadata.{path}");
            }
            copy["metadata"] = metadata;
            decoded
                .unknown
                .extend(schema_prune::prune(&mut copy, &custom.schema));
            decoded
        }
    };
    let schema = managed::schema_of(kind);
    if let Some(path) = decoded.unknown.first() {
        let path = keyed(&wanted, Some(&schema), path);
        return Err(refused(&format!("{path}: field not declared in schema")));
    }
    let written = kind.custom().map_or(&schema, |custom| &custom.schema);
    if let Some(wrong) = ill_typed(&copy, written, "") {
        return Err(refused(&wrong));
    }
    if let Some(wrong) = decoded.wrong {
        return Err(refused(&wrong));
    }
    duplicates(&wanted, Some(&managed::schema_of(kind)), "", &refused)?;
    Ok(wanted)
}

/// A path in which the items of lists that are maps are named by their keys.
fn keyed(value: &Value, schema: Option<&Schema>, path: &str) -> String {
    let (mut value, mut schema) = (value, schema);
    let mut text = String::new();
    for part in path.split('.') {
        let (name, index) = match part.split_once('[') {
            Some((name, rest)) => (name, rest.trim_end_matches(']').parse::<usize>().ok()),
            None => (part, None),
        };
        text.push_str(&format!(".{name}"));
        value = &value[name];
        schema = schema.and_then(|schema| schema.resolve().member(name));
        let Some(index) = index else {
            continue;
        };
        let keys = schema.and_then(list_keys).unwrap_or_default();
        value = &value[index];
        let shown: Vec<_> = keys
            .iter()
            .filter(|key| !value[key.as_str()].is_null())
            .map(|key| format!("{key}={}", value[key.as_str()]))
            .collect();
        if shown.is_empty() {
            text.push_str(&format!("[{index}]"));
        } else {
            text.push_str(&format!("[{}]", shown.join(",")));
        }
        schema = schema.and_then(|schema| schema.resolve().items.as_deref());
    }
    text
}

/// Where an object has something else than its schema wants.
fn ill_typed(value: &Value, schema: &Schema, path: &str) -> Option<String> {
    let name = schema.definition().and_then(|name| name.rsplit('.').next());
    if matches!(
        name,
        Some("IntOrString" | "Quantity" | "Time" | "MicroTime")
    ) {
        return None;
    }
    let schema = schema.resolve();
    let said = match (schema.kind.as_deref(), value) {
        (_, Value::Null) => None,
        (Some("integer" | "number"), other) if !other.is_number() => {
            Some(format!("numeric (int or float), got {}", go::kind(other)))
        }
        (Some("string"), other) if !other.is_string() => {
            Some(format!("string, got {}", go::unstructured(other)))
        }
        (Some("boolean"), other) if !other.is_boolean() => {
            Some(format!("boolean, got {}", go::unstructured(other)))
        }
        _ => None,
    };
    if let Some(said) = said {
        return Some(format!("{path}: expected {said}"));
    }
    let wanted = match schema.kind.as_deref() {
        Some("object") if !value.is_object() => "map",
        Some("array") if !value.is_array() => "list",
        _ => {
            return match value {
                Value::Object(members) => members.iter().find_map(|(name, value)| {
                    ill_typed(value, schema.member(name)?, &format!("{path}.{name}"))
                }),
                Value::Array(items) => {
                    let inner = schema.items.as_deref()?;
                    items.iter().find_map(|item| ill_typed(item, inner, path))
                }
                _ => None,
            };
        }
    };
    (!value.is_null())
        .then(|| format!("{path}: expected {wanted}, got &{{{}}}", go::printed(value)))
}

/// No item of a list may be there twice.
fn duplicates(
    value: &Value,
    schema: Option<&Schema>,
    path: &str,
    refused: &dyn Fn(&str) -> Failure,
) -> Result<(), Failure> {
    let resolved = schema.map(Schema::resolve);
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let inner = resolved.and_then(|schema| schema.member(name));
                duplicates(value, inner, &format!("{path}.{name}"), refused)?;
            }
        }
        Value::Array(items) => {
            let Some(schema) =
                schema.filter(|s| matches!(s.list_type.as_deref(), Some("map" | "set")))
            else {
                return Ok(());
            };
            let inner = schema.items.as_deref();
            for (index, one) in items.iter().enumerate() {
                let mut before = items[..index].to_vec();
                if at(&mut before, one, schema).is_some() {
                    let key: Vec<_> = list_keys(schema)
                        .unwrap_or_default()
                        .iter()
                        .map(|key| format!("{key}={}", one[key]))
                        .collect();
                    let shown = if key.is_empty() {
                        format!("={one}")
                    } else {
                        key.join(",")
                    };
                    let said = format!("{path}: duplicate entries for key [{shown}]");
                    return Err(refused(&said));
                }
                duplicates(one, inner, path, refused)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Puts what is wanted over what is there.
fn merge(there: &mut Value, wanted: &Value, schema: Option<&Schema>) {
    let resolved = schema.map(Schema::resolve);
    let atomic = [schema, resolved]
        .iter()
        .flatten()
        .any(|schema| schema.map_type.as_deref() == Some("atomic"));
    match (&mut *there, wanted) {
        (Value::Object(members), Value::Object(wanted)) if !atomic => {
            for (name, value) in wanted {
                let inner = resolved.and_then(|schema| schema.member(name));
                let slot = members.entry(name.clone()).or_insert(Value::Null);
                merge(slot, value, inner);
            }
        }
        (Value::Array(items), Value::Array(wanted)) => {
            let Some(schema) =
                schema.filter(|s| matches!(s.list_type.as_deref(), Some("map" | "set")))
            else {
                there.clone_from(&Value::Array(wanted.clone()));
                return;
            };
            for one in wanted {
                match at(items, one, schema) {
                    Some(item) => merge(item, one, schema.items.as_deref()),
                    None => items.push(one.clone()),
                }
            }
        }
        (_, Value::Object(wanted)) if !atomic => {
            let mut made = Value::Object(Map::new());
            for (name, value) in wanted {
                let inner = resolved.and_then(|schema| schema.member(name));
                merge(&mut made[name.as_str()], value, inner);
            }
            *there = made;
        }
        (_, wanted) => there.clone_from(wanted),
    }
}

/// What others wrote is not taken from them, unless by force.
fn refuse_conflicts(
    call: &Call<'_>,
    managers: &[Manager],
    own: &Manager,
    touched: &Fields,
) -> Result<(), Failure> {
    if call.query.is_on("force") {
        return Ok(());
    }
    let mut causes = Vec::new();
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for manager in managers.iter().filter(|manager| !manager.is(own)) {
        let paths = manager.fields.common(touched).paths();
        if paths.is_empty() {
            continue;
        }
        let mut by = format!("{:?}", manager.name);
        if !manager.part.is_empty() {
            by.push_str(&format!(" with subresource {:?}", manager.part));
        }
        if manager.operation == "Update" {
            by.push_str(&format!(" using {}", manager.version));
        }
        for path in &paths {
            causes.push(Cause {
                reason: "FieldManagerConflict".into(),
                message: format!("conflict with {by}"),
                field: path.clone(),
            });
        }
        said.push((by, paths));
    }
    if causes.is_empty() {
        return Ok(());
    }
    let message = match causes.as_slice() {
        [one] => format!(
            "Apply failed with 1 conflict: {}: {}",
            one.message, one.field
        ),
        many => {
            let parts = said.iter().map(|(by, paths)| {
                let paths: Vec<_> = paths.iter().map(|path| format!("- {path}")).collect();
                format!("conflicts with {by}:\n{}", paths.join("\n"))
            });
            let parts: Vec<_> = parts.collect();
            format!(
                "Apply failed with {} conflicts: {}",
                many.len(),
                parts.join("\n")
            )
        }
    };
    Err(Failure::new(409, "Conflict", message).with_causes(causes))
}
