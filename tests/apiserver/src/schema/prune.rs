//! Custom objects keep only what their schema knows.

use serde_json::Value;

use super::Schema;
use crate::field::{child, item};

/// Takes away what the schema does not know, and says where it was.
pub(crate) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(object, Some(schema), "", true, &mut unknown);
    unknown.sort();
    unknown
}

fn is_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

fn walk(
    value: &mut Value,
    schema: Option<&Schema>,
    path: &str,
    root: bool,
    unknown: &mut Vec<String>,
) {
    let preserve = schema.is_some_and(|schema| schema.preserve_unknown);
    match value {
        Value::Object(members) => members.retain(|name, value| {
            let embedded = root || schema.is_some_and(|schema| schema.embedded);
            if embedded && is_meta(name) {
                return true;
            }
            let path = child(path, name);
            match schema.and_then(|schema| schema.member(name)) {
                Some(inner) => {
                    walk(value, Some(inner), &path, false, unknown);
                    true
                }
                None if preserve || schema.is_some_and(all_members) => true,
                None => {
                    unknown.push(path);
                    false
                }
            }
        }),
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            if preserve && inner.is_none() {
                return;
            }
            for (index, value) in items.iter_mut().enumerate() {
                walk(value, inner, &item(path, index), false, unknown);
            }
        }
        _ => {}
    }
}

/// Whether it says `additionalProperties: true`.
fn all_members(schema: &Schema) -> bool {
    matches!(
        schema.additional_properties,
        Some(super::Additional::Any(true))
    )
}

/// Takes away what is null and may not be, where nothing else is said to take its place.
pub(crate) fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(members) => members.retain(|name, value| {
            let inner = schema.and_then(|schema| schema.member(name));
            let drop = value.is_null()
                && inner.is_some_and(|inner| !inner.nullable && inner.default.is_none());
            if !drop {
                drop_nulls(value, inner);
            }
            !drop
        }),
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.items.as_deref());
            for value in items {
                drop_nulls(value, inner);
            }
        }
        _ => {}
    }
}
