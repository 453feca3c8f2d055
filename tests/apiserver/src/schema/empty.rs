//! What is empty does not outlive being stored: the real server's format has no word for it.

use serde_json::Value;

use super::Schema;

/// Takes away the lists and maps without anything in them. Those that have to be there are null.
pub(crate) fn drop(value: &mut Value, schema: &Schema) {
    let schema = schema.resolve();
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                if let Some(inner) = schema.member(name) {
                    drop(value, inner);
                }
            }
            members.retain(|name, value| {
                let free = schema
                    .member(name)
                    .is_some_and(|inner| inner.resolve().other_members().is_some());
                match value {
                    Value::Array(items) if items.is_empty() => {
                        *value = Value::Null;
                        schema.required.contains(name)
                    }
                    Value::Object(members) => !free || !members.is_empty(),
                    _ => true,
                }
            });
        }
        Value::Array(items) => {
            if let Some(inner) = schema.items.as_deref() {
                for value in items {
                    drop(value, inner);
                }
            }
        }
        _ => {}
    }
}
