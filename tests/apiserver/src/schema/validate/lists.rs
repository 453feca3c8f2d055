//! Lists that are sets or maps.

use serde_json::{Map, Value};

use super::super::Schema;
use crate::field::{FieldError, child, item};

/// The faults of all lists that are sets or maps.
pub(crate) fn check_lists(value: &Value, schema: &Schema, path: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    walk(value, schema, path, &mut faults);
    faults
}

fn walk(value: &Value, schema: &Schema, path: &str, faults: &mut Vec<FieldError>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let Some(inner) = schema.properties.get(name) {
                    walk(value, inner, &child(path, name), faults);
                } else if let Some(inner) = schema.other_members() {
                    walk(value, inner, &format!("{path}[{name}]"), faults);
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type.as_deref() {
                Some("set") => duplicates(items, path, faults),
                Some("map") => {
                    let not_object = items.iter().position(|i| !i.is_object() && !i.is_null());
                    if let Some(index) = not_object {
                        let said = "must be an object for an array of list-type map";
                        faults.push(FieldError::invalid(&item(path, index), &items[index], said));
                    } else {
                        let keys: Vec<_> = items.iter().map(|i| key(i, schema)).collect();
                        duplicates(&keys, path, faults);
                    }
                }
                _ => {}
            }
            if let Some(inner) = schema.items.as_deref() {
                for (index, value) in items.iter().enumerate() {
                    walk(value, inner, &item(path, index), faults);
                }
            }
        }
        _ => {}
    }
}

fn duplicates(items: &[Value], path: &str, faults: &mut Vec<FieldError>) {
    for (index, value) in items.iter().enumerate() {
        let before = items[..index]
            .iter()
            .filter(|other| *other == value)
            .count();
        if before == 1 {
            faults.push(FieldError::duplicate(&item(path, index), value));
        }
    }
}

/// What tells the items of a list that is a map apart.
fn key(value: &Value, schema: &Schema) -> Value {
    let mut key = Map::new();
    for name in &schema.list_map_keys {
        if let Some(value) = value.get(name) {
            key.insert(name.clone(), value.clone());
        }
    }
    Value::Object(key)
}

/// What an item was before, where that can be told.
pub(super) fn counterpart<'a>(
    value: &Value,
    old: Option<&'a Value>,
    schema: &Schema,
) -> Option<&'a Value> {
    if schema.list_type.as_deref() != Some("map") {
        return None;
    }
    let wanted = key(value, schema);
    old?.as_array()?
        .iter()
        .find(|other| key(other, schema) == wanted)
}
