//! What the real server demands of the schema of a custom kind: that it is structural.

mod extensions;

use regex::Regex;
use serde_json::{Map, Value};

use crate::field::{FieldError, child, item};

/// Where in the schema we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The faults of a schema.
pub(crate) fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    invariants(schema, Level::Root, path, &mut faults);
    complete(schema, schema, path, &mut faults);
    extensions::check(schema, path, true, &mut faults);
    if faults.is_empty() {
        extensions::compile(schema, path, true, &mut faults);
    }
    faults.sort_by_key(|fault| format!("{}: {}", fault.field, fault.body()));
    faults.dedup_by_key(|fault| format!("{}: {}", fault.field, fault.body()));
    faults
}

fn members<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema[name].as_object().into_iter().flatten()
}

fn list<'a>(schema: &'a Value, name: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    schema[name].as_array().into_iter().flatten().enumerate()
}

fn kind(schema: &Value) -> &str {
    schema["type"].as_str().unwrap_or_default()
}

fn says(schema: &Value, name: &str) -> bool {
    schema[name] == true
}

fn invariants(schema: &Value, level: Level, path: &str, faults: &mut Vec<FieldError>) {
    if kind(schema) == "array" && !schema["items"].is_object() {
        faults.push(FieldError::required(
            &child(path, "items"),
            "must be specified",
        ));
    }
    if schema["items"].is_object() {
        invariants(&schema["items"], Level::Item, &child(path, "items"), faults);
    }
    for (name, inner) in members(schema, "properties") {
        let path = format!("{}[{name}]", child(path, "properties"));
        invariants(inner, Level::Field, &path, faults);
    }
    let additional = &schema["additionalProperties"];
    let path_of_additional = child(path, "additionalProperties");
    let embedded = says(schema, "x-kubernetes-embedded-resource");
    let int_or_string = says(schema, "x-kubernetes-int-or-string");
    let preserve = says(schema, "x-kubernetes-preserve-unknown-fields");
    if !additional.is_null() {
        if level == Level::Root {
            let said = "must not be used at the root";
            faults.push(FieldError::forbidden(&path_of_additional, said));
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &path_of_additional, faults);
        }
        if embedded {
            let said = "must not be used if x-kubernetes-embedded-resource is set";
            faults.push(FieldError::forbidden(&path_of_additional, said));
        }
    }
    for name in [
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
    ] {
        if int_or_string && says(schema, name) {
            let said = "must be false if x-kubernetes-int-or-string is true";
            faults.push(FieldError::invalid(&child(path, name), &true.into(), said));
        }
    }
    junctors(schema, path, faults);
    types(schema, level, path, faults);
    if embedded && !preserve && members(schema, "properties").next().is_none() {
        let said = "must not be empty if x-kubernetes-embedded-resource is true without \
                    x-kubernetes-preserve-unknown-fields";
        faults.push(FieldError::required(&child(path, "properties"), said));
    }
}

fn types(schema: &Value, level: Level, path: &str, faults: &mut Vec<FieldError>) {
    let embedded = says(schema, "x-kubernetes-embedded-resource");
    let free = says(schema, "x-kubernetes-int-or-string")
        || says(schema, "x-kubernetes-preserve-unknown-fields");
    let is = kind(schema);
    let path_of_type = child(path, "type");
    if embedded && is != "object" {
        let said = "must be object if x-kubernetes-embedded-resource is true";
        faults.push(if is.is_empty() {
            FieldError::required(&path_of_type, said)
        } else {
            FieldError::invalid(&path_of_type, &is.into(), said)
        });
    } else if is.is_empty() && !free {
        let said = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        faults.push(FieldError::required(&path_of_type, said));
    }
    if level == Level::Root && !is.is_empty() && is != "object" {
        let said = "must be object at the root";
        faults.push(FieldError::invalid(&path_of_type, &is.into(), said));
    }
    let properties = &schema["properties"];
    if level == Level::Root || embedded {
        for (name, wanted) in [
            ("kind", "string"),
            ("apiVersion", "string"),
            ("metadata", "object"),
        ] {
            if properties
                .get(name)
                .is_some_and(|inner| kind(inner) != wanted)
            {
                let path = format!("{}[{name}].type", child(path, "properties"));
                let given = kind(&properties[name]).into();
                faults.push(FieldError::invalid(
                    &path,
                    &given,
                    format!("must be {wanted}"),
                ));
            }
        }
    }
    if level == Level::Root
        && let Some(metadata) = properties.get("metadata").and_then(Value::as_object)
        && !is_plain_metadata(metadata)
    {
        let path = format!("{}[metadata]", child(path, "properties"));
        let said = "must not specify anything other than name and generateName, but metadata is \
                    implicitly specified";
        faults.push(FieldError::forbidden(&path, said));
    }
}

fn is_plain_metadata(metadata: &Map<String, Value>) -> bool {
    metadata.iter().all(|(name, value)| match name.as_str() {
        "type" | "default" | "description" => true,
        "properties" => value
            .as_object()
            .is_some_and(|inner| inner.keys().all(|n| n == "name" || n == "generateName")),
        _ => false,
    })
}

/// `anyOf: [{type: integer}, {type: string}]`, which is allowed beside int-or-string.
fn is_int_or_string(any_of: &Value) -> bool {
    *any_of == serde_json::json!([{"type": "integer"}, {"type": "string"}])
}

fn junctors(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let int_or_string = says(schema, "x-kubernetes-int-or-string");
    let skip_any = int_or_string && is_int_or_string(&schema["anyOf"]);
    for name in ["anyOf", "allOf", "oneOf"] {
        if name == "anyOf" && skip_any {
            continue;
        }
        for (index, inner) in list(schema, name) {
            let skip =
                name == "allOf" && index == 0 && int_or_string && is_int_or_string(&inner["anyOf"]);
            nested(inner, skip, &item(&child(path, name), index), faults);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], false, &child(path, "not"), faults);
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && let Err(e) = Regex::new(pattern)
    {
        let said = format!("must be a valid regular expression, but isn't: {e}");
        faults.push(FieldError::invalid(
            &child(path, "pattern"),
            &schema["pattern"],
            said,
        ));
    }
}

/// Inside of a junctor values may be restricted, but nothing may be specified.
fn nested(schema: &Value, skip_any: bool, path: &str, faults: &mut Vec<FieldError>) {
    for name in ["anyOf", "allOf", "oneOf"] {
        if name == "anyOf" && skip_any {
            continue;
        }
        for (index, inner) in list(schema, name) {
            nested(inner, false, &item(&child(path, name), index), faults);
        }
    }
    if schema["not"].is_object() {
        nested(&schema["not"], false, &child(path, "not"), faults);
    }
    if schema["items"].is_object() {
        nested(&schema["items"], false, &child(path, "items"), faults);
    }
    for (name, inner) in members(schema, "properties") {
        let path = format!("{}[{name}]", child(path, "properties"));
        nested(inner, false, &path, faults);
        if name == "metadata" {
            let said = "must not be specified in a nested context";
            faults.push(FieldError::forbidden(&path, said));
        }
    }
    for (name, said) in [
        ("type", "must be empty to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("default", "must be undefined to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        (
            "x-kubernetes-preserve-unknown-fields",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-embedded-resource",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-int-or-string",
            "must be false to be structural",
        ),
        (
            "x-kubernetes-list-map-keys",
            "must be empty to be structural",
        ),
        (
            "x-kubernetes-list-type",
            "must be undefined to be structural",
        ),
        (
            "x-kubernetes-map-type",
            "must be undefined to be structural",
        ),
        ("x-kubernetes-validations", "must be empty to be structural"),
    ] {
        let given = &schema[name];
        let empty = given.is_null()
            || *given == false
            || given.as_str() == Some("")
            || given.as_array().is_some_and(Vec::is_empty);
        if !empty {
            faults.push(FieldError::forbidden(&child(path, name), said));
        }
    }
}

/// Whatever a junctor speaks of has to be specified outside of it.
fn complete(schema: &Value, outside: &Value, path: &str, faults: &mut Vec<FieldError>) {
    for name in ["anyOf", "allOf", "oneOf"] {
        for (index, inner) in list(schema, name) {
            complete_nested(
                inner,
                outside,
                &item(&child(path, name), index),
                path,
                faults,
            );
        }
    }
    if schema["not"].is_object() {
        complete_nested(&schema["not"], outside, &child(path, "not"), path, faults);
    }
    if schema["items"].is_object() {
        complete(
            &schema["items"],
            &schema["items"],
            &child(path, "items"),
            faults,
        );
    }
    for (name, inner) in members(schema, "properties") {
        let path = format!("{}[{name}]", child(path, "properties"));
        complete(inner, inner, &path, faults);
    }
    if schema["additionalProperties"].is_object() {
        let inner = &schema["additionalProperties"];
        complete(inner, inner, &child(path, "additionalProperties"), faults);
    }
}

fn complete_nested(
    schema: &Value,
    outside: &Value,
    path: &str,
    path_outside: &str,
    faults: &mut Vec<FieldError>,
) {
    let because = |field: &str| {
        let said = format!("because it is defined in {field}");
        said
    };
    if schema["items"].is_object() {
        let field = child(path, "items");
        let wanted = child(path_outside, "items");
        if outside["items"].is_object() {
            complete_nested(&schema["items"], &outside["items"], &field, &wanted, faults);
        } else {
            faults.push(FieldError::required(&wanted, because(&field)));
        }
    }
    for (name, inner) in members(schema, "properties") {
        let field = format!("{}[{name}]", child(path, "properties"));
        let wanted = format!("{}[{name}]", child(path_outside, "properties"));
        match outside["properties"].get(name) {
            Some(outside) => complete_nested(inner, outside, &field, &wanted, faults),
            None => faults.push(FieldError::required(&wanted, because(&field))),
        }
    }
    for name in ["anyOf", "allOf", "oneOf"] {
        for (index, inner) in list(schema, name) {
            let path = item(&child(path, name), index);
            complete_nested(inner, outside, &path, path_outside, faults);
        }
    }
    if schema["not"].is_object() {
        complete_nested(
            &schema["not"],
            outside,
            &child(path, "not"),
            path_outside,
            faults,
        );
    }
}
