//! What custom objects do not say is said by their schema.

use serde_json::Value;

use super::Schema;

/// Puts the defaults in.
pub(crate) fn default(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(members) => {
            for (name, inner) in &schema.properties {
                let Some(default) = &inner.default else {
                    continue;
                };
                let missing = members
                    .get(name)
                    .is_none_or(|value| value.is_null() && !inner.nullable);
                if missing {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, value) in members.iter_mut() {
                if let Some(inner) = schema.member(name) {
                    instead_of_null(value, inner);
                    self::default(value, inner);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.items.as_deref() {
                for value in items {
                    instead_of_null(value, inner);
                    self::default(value, inner);
                }
            }
        }
        _ => {}
    }
}

fn instead_of_null(value: &mut Value, schema: &Schema) {
    if value.is_null()
        && !schema.nullable
        && let Some(default) = &schema.default
    {
        *value = default.clone();
    }
}
