//! Numbers as a schema declares them: what is a `number` there is one in CEL, however it was
//! written.

use serde_json::Value;

/// `value`, with whole numbers turned into others where `schema` says `number`.
pub(super) fn as_declared(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Number(number) if schema["type"] == "number" => {
            number.as_f64().map_or_else(|| value.clone(), Value::from)
        }
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let own = schema["properties"].get(name);
                let declared = own.unwrap_or(&schema["additionalProperties"]);
                (name.clone(), as_declared(declared, value))
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| as_declared(&schema["items"], item));
            Value::Array(items.collect())
        }
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_become_what_is_declared() {
        let schema = json!({"properties": {
            "share": {"type": "number"}, "count": {"type": "integer"},
            "all": {"items": {"properties": {"share": {"type": "number"}}}},
        }});
        let given = json!({"share": 1, "count": 1, "all": [{"share": 0}], "other": 2});
        let wanted = json!({"share": 1.0, "count": 1, "all": [{"share": 0.0}], "other": 2});
        assert_eq!(as_declared(&schema, &given), wanted);
    }
}
