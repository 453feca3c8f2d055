//! Values as Go prints them.

use serde_json::Value;

/// `map[a:1 b:[x y]]`
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(printed).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name}:{}", printed(value)))
                .collect();
            members.sort();
            format!("map[{}]", members.join(" "))
        }
        plain => plain.to_string(),
    }
}

/// The name of the type of a value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value in the wrapping that typed values come in.
pub(super) fn unstructured(value: &Value) -> String {
    let inner = match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) | Value::Object(_) => format!("{}{{...}}", kind(value)),
        plain => printed(plain),
    };
    format!("&value.valueUnstructured{{Value:{inner}}}")
}
