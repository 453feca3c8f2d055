//! Access to the members that all objects have.

use serde_json::{Map, Value};

const EMPTY: &str = "";

/// A member of the metadata, if it is a text; empty otherwise.
pub(crate) fn meta<'a>(object: &'a Value, name: &str) -> &'a str {
    object["metadata"][name].as_str().unwrap_or(EMPTY)
}

/// The object's name.
pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// The object's namespace; empty where it has none.
pub(crate) fn namespace(object: &Value) -> &str {
    meta(object, "namespace")
}

/// The object's unique id.
pub(crate) fn uid(object: &Value) -> &str {
    meta(object, "uid")
}

/// Whether somebody has asked for it to go.
pub(crate) fn is_going(object: &Value) -> bool {
    !meta(object, "deletionTimestamp").is_empty()
}

/// Whether something has to be done before it may go.
pub(crate) fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|finalizers| !finalizers.is_empty())
}

/// The metadata, made where it is missing.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    member_mut(object, "metadata")
}

/// A member that is an object, made where it is missing.
pub(crate) fn member_mut<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let slot = &mut object[name];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut()
        .expect("made an object in the line above")
}

/// Sets a member of the metadata, or takes it away.
pub(crate) fn set_meta(object: &mut Value, name: &str, value: Option<Value>) {
    let meta = meta_mut(object);
    match value {
        Some(value) => meta.insert(name.to_owned(), value),
        None => meta.shift_remove(name),
    };
}

/// Takes a member from `from`, or takes it away where `from` has none.
pub(crate) fn copy_member(object: &mut Value, from: &Value, name: &str) {
    let Some(members) = object.as_object_mut() else {
        return;
    };
    match from.get(name) {
        Some(value) => members.insert(name.to_owned(), value.clone()),
        None => members.shift_remove(name),
    };
}

/// The labels, those that are texts.
pub(crate) fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

/// Now, as the real server writes it: whole seconds.
pub(crate) fn now() -> String {
    stamp(jiff::Timestamp::now())
}

/// A time as the real server writes it.
pub(crate) fn stamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
