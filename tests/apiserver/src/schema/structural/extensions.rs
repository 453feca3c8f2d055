//! The members of a schema that are not allowed, and those that only Kubernetes knows.

mod rules;

use serde_json::Value;

use super::{kind, members};
use crate::field::{FieldError, child, item};
use crate::schema::{Schema, default, prune, validate};
pub(super) use rules::compile;
use rules::rules;

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// The faults of a schema and of all inside of it.
pub(super) fn check(schema: &Value, path: &str, structural: bool, faults: &mut Vec<FieldError>) {
    forbidden(schema, path, faults);
    if structural {
        types(schema, path, faults);
        lists(schema, path, faults);
        defaults(schema, path, faults);
    }
    rules(schema, path, faults);
    let inner = |name: &str| child(path, name);
    for (name, value) in members(schema, "properties") {
        let path = format!("{}[{name}]", inner("properties"));
        check(value, &path, structural, faults);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            check(&schema[name], &inner(name), structural, faults);
        }
    }
    if schema["not"].is_object() {
        check(&schema["not"], &inner("not"), false, faults);
    }
    for name in ["anyOf", "allOf", "oneOf"] {
        for (index, value) in super::list(schema, name) {
            check(value, &item(&inner(name), index), false, faults);
        }
    }
}

fn forbidden(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let mut say = |name: &str, said: &str| {
        faults.push(FieldError::forbidden(&child(path, name), said));
    };
    if schema["uniqueItems"] == true {
        let said = "uniqueItems cannot be set to true since the runtime complexity becomes \
                    quadratic";
        say("uniqueItems", said);
    }
    let has_properties = members(schema, "properties").next().is_some();
    let additional = &schema["additionalProperties"];
    if !additional.is_null() && has_properties {
        let said = "additionalProperties and properties are mutual exclusive";
        say("additionalProperties", said);
    } else if *additional == false {
        say(
            "additionalProperties",
            "additionalProperties cannot be set to false",
        );
    }
    for name in [
        "id",
        "additionalItems",
        "patternProperties",
        "definitions",
        "dependencies",
        "$ref",
    ] {
        let given = &schema[name];
        let empty = given.is_null() || given.as_object().is_some_and(serde_json::Map::is_empty);
        if !empty {
            say(name, &format!("{name} is not supported"));
        }
    }
    if kind(schema) == "null" {
        say(
            "type",
            "type cannot be set to null, use nullable as an alternative",
        );
    }
    if schema["items"].is_array() {
        say("items", "items must be a schema object and not an array");
    }
    let is = kind(schema);
    if !is.is_empty() && !TYPES.contains(&is) {
        let field = child(path, "type");
        faults.push(FieldError::unsupported(&field, &is.into(), &TYPES));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == false {
        let field = child(path, "x-kubernetes-preserve-unknown-fields");
        faults.push(FieldError::invalid(
            &field,
            &false.into(),
            "must be true or undefined",
        ));
    }
}

fn types(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let is = kind(schema);
    for (name, wanted, known) in [
        (
            "x-kubernetes-map-type",
            "object",
            &["atomic", "granular"][..],
        ),
        (
            "x-kubernetes-list-type",
            "array",
            &["atomic", "set", "map"][..],
        ),
    ] {
        let Some(given) = schema[name].as_str() else {
            continue;
        };
        let said = format!("must be {wanted} if {name} is specified");
        let field = child(path, "type");
        if is.is_empty() {
            faults.push(FieldError::required(&field, said));
        } else if is != wanted {
            faults.push(FieldError::invalid(&field, &is.into(), said));
        }
        if !known.contains(&given) {
            let field = child(path, name);
            faults.push(FieldError::unsupported(&field, &given.into(), known));
        }
    }
}

fn lists(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let list_type = schema["x-kubernetes-list-type"].as_str();
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    let keys: Vec<_> = keys
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let items = &schema["items"];
    let path_of_keys = child(path, "x-kubernetes-list-map-keys");
    let path_of_items = child(path, "items");
    if list_type == Some("set") {
        let (inner, said) = (
            kind(items),
            "must be atomic as item of a list with x-kubernetes-list-type=set",
        );
        if inner == "array"
            && items["x-kubernetes-list-type"]
                .as_str()
                .is_some_and(|t| t != "atomic")
        {
            let field = child(&path_of_items, "x-kubernetes-list-type");
            faults.push(FieldError::invalid(
                &field,
                &items["x-kubernetes-list-type"],
                said,
            ));
        }
        if inner == "object" && items["x-kubernetes-map-type"] != "atomic" {
            let field = child(&path_of_items, "x-kubernetes-map-type");
            faults.push(FieldError::invalid(
                &field,
                &items["x-kubernetes-map-type"],
                said,
            ));
        }
    }
    if !keys.is_empty() && list_type != Some("map") {
        let said = "must be map if x-kubernetes-list-map-keys is non-empty";
        let field = child(path, "x-kubernetes-list-type");
        faults.push(match list_type {
            None => FieldError::required(&field, said),
            Some(given) => FieldError::invalid(&field, &given.into(), said),
        });
    }
    if matches!(list_type, Some("map" | "set")) && items["nullable"] == true {
        let said = format!(
            "cannot be nullable when x-kubernetes-list-type is {}",
            list_type.unwrap_or_default()
        );
        faults.push(FieldError::forbidden(
            &child(&path_of_items, "nullable"),
            said,
        ));
    }
    if list_type != Some("map") {
        return;
    }
    if keys.is_empty() {
        let said = "must not be empty if x-kubernetes-list-type is map";
        faults.push(FieldError::required(&path_of_keys, said));
    }
    if !items.is_object() {
        let said = "must have a schema if x-kubernetes-list-type is map";
        faults.push(FieldError::required(&path_of_items, said));
        return;
    }
    if kind(items) != "object" {
        let said = "must be object if parent array's x-kubernetes-list-type is map";
        let field = child(&path_of_items, "type");
        faults.push(FieldError::invalid(&field, &kind(items).into(), said));
    }
    let required = items["required"].as_array();
    let required: Vec<_> = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let given = Value::from(keys.clone());
    for (index, key) in keys.iter().enumerate() {
        let property = &items["properties"][*key];
        let path = format!("{}[{key}]", child(&path_of_items, "properties"));
        if keys[..index].contains(key) {
            let said = "must not contain duplicate entries";
            faults.push(FieldError::invalid(&path_of_keys, &given, said));
        }
        if !property.is_object() {
            let said = "entries must all be names of item properties";
            faults.push(FieldError::invalid(&path_of_keys, &given, said));
            continue;
        }
        if matches!(kind(property), "array" | "object") {
            let said = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            let field = child(&path, "type");
            faults.push(FieldError::invalid(&field, &kind(items).into(), said));
        }
        if property["default"].is_null() && !required.contains(key) {
            let said = "this property is in x-kubernetes-list-map-keys, so it must have a default \
                        or be a required property";
            faults.push(FieldError::required(&child(&path, "default"), said));
        }
        if property["nullable"] == true {
            let said = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            faults.push(FieldError::forbidden(&child(&path, "nullable"), said));
        }
    }
}

/// A default has to be what the schema allows.
fn defaults(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let given = &schema["default"];
    let path = child(path, "default");
    let Ok(parsed) = serde_json::from_value::<Schema>(schema.clone()) else {
        return;
    };
    if given.is_null() {
        return;
    }
    let mut value = given.clone();
    if let Some(unknown) = prune_inside(&mut value, &parsed) {
        let said = format!("must not have unknown fields: {unknown}");
        faults.push(FieldError::invalid(&path, given, said));
        return;
    }
    default::default(&mut value, &parsed);
    for mut fault in validate::validate(&value, None, &parsed) {
        fault.field = if fault.field.is_empty() {
            path.clone()
        } else {
            format!("{path}.{}", fault.field)
        };
        faults.push(fault);
    }
}

fn prune_inside(value: &mut Value, schema: &Schema) -> Option<String> {
    // Below the root nothing is known by itself: so the value goes one further down.
    let outer = Schema {
        properties: [("default".to_owned(), schema.clone())].into(),
        ..Schema::default()
    };
    let mut wrapped = serde_json::json!({"default": value.take()});
    let unknown = prune::prune(&mut wrapped, &outer);
    *value = wrapped["default"].take();
    unknown.into_iter().next()
}
