//! The members of a schema that are not allowed, and those that only Kubernetes knows.

use serde_json::Value;

use super::{kind, members};
use crate::field::{FieldError, child, item};
use crate::schema::cel::types;
use crate::schema::{Schema, default, prune, validate};

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

fn rules(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    for (index, rule) in super::list(schema, "x-kubernetes-validations") {
        let path = item(&child(path, "x-kubernetes-validations"), index);
        let text = |name: &str| rule[name].as_str();
        let expression = text("messageExpression");
        let written = text("rule").unwrap_or_default();
        if written.trim().is_empty() {
            faults.push(FieldError::required(
                &child(&path, "rule"),
                "rule is not specified",
            ));
        }
        let field = child(&path, "message");
        match text("message") {
            Some(message) if message.trim().is_empty() && !message.is_empty() => {
                let said = "must be non-empty if specified";
                faults.push(FieldError::invalid(&field, &message.into(), said));
            }
            Some(message) if message.trim().contains('\n') => {
                let said = "must not contain line breaks";
                faults.push(FieldError::invalid(&field, &message.into(), said));
            }
            None | Some("") if written.trim().contains('\n') => {
                let said = "message must be specified if rule contains line breaks";
                faults.push(FieldError::required(&field, said));
            }
            _ => {}
        }
        if expression.is_some_and(|text| text.trim().is_empty() && !text.is_empty()) {
            let said = "messageExpression must be non-empty if specified";
            faults.push(FieldError::required(
                &child(&path, "messageExpression"),
                said,
            ));
        }
        let reasons = [
            "FieldValueDuplicate",
            "FieldValueForbidden",
            "FieldValueInvalid",
            "FieldValueRequired",
        ];
        if let Some(reason) = text("reason")
            && !reasons.contains(&reason)
        {
            let field = child(&path, "reason");
            faults.push(FieldError::unsupported(&field, &reason.into(), &reasons));
        }
        if let Some(given) = text("fieldPath")
            && !given.is_empty()
            && !names_a_field(schema, given)
        {
            let said = "fieldPath must be a valid path";
            faults.push(FieldError::invalid(
                &child(&path, "fieldPath"),
                &given.into(),
                said,
            ));
        }
    }
}

/// The faults of the rules of a schema that has no others: whether they compile.
pub(super) fn compile(schema: &Value, path: &str, root: bool, faults: &mut Vec<FieldError>) {
    for (index, rule) in super::list(schema, "x-kubernetes-validations") {
        let path = item(&child(path, "x-kubernetes-validations"), index);
        for name in ["rule", "messageExpression"] {
            let text = rule[name].as_str().map(str::trim);
            let Some(text) = text.filter(|text| !text.is_empty()) else {
                continue;
            };
            let field = child(&path, name);
            if let Err(e) = kube_cel::cel::Program::compile(text) {
                let said = format!("compilation failed: {e}").replace("\n|", "\n |");
                faults.push(FieldError::invalid_shown(&field, &go_rule(rule), said));
            } else if name == "rule" {
                faults.extend(ill_typed(text, rule, schema, root, &field));
            }
        }
    }
    for (name, value) in members(schema, "properties") {
        let path = format!("{}[{name}]", child(path, "properties"));
        compile(value, &path, false, faults);
    }
    for name in ["items", "additionalProperties"] {
        if schema[name].is_object() {
            compile(&schema[name], &child(path, name), false, faults);
        }
    }
}

fn ill_typed(text: &str, rule: &Value, schema: &Value, root: bool, field: &str) -> Vec<FieldError> {
    let invalid = |said: String| vec![FieldError::invalid_shown(field, &go_rule(rule), said)];
    match types::check(text, schema, root) {
        None => Vec::new(),
        Some(types::Wrong::Compilation(why)) => invalid(format!("compilation failed: {why}")),
        Some(types::Wrong::NoTruth) => invalid("cel expression must evaluate to a bool".into()),
        Some(types::Wrong::Cost(factor)) => {
            let factor = if factor > 100.0 {
                "more than 100x".to_owned()
            } else {
                format!("{factor:.1}x")
            };
            let said = format!(
                "exceeds budget by factor of {factor} (try simplifying the rule, or adding \
                 maxItems, maxProperties, and maxLength where arrays, maps, and strings are \
                 declared)"
            );
            let whole = field
                .split_once("openAPIV3Schema")
                .map_or("", |(start, _)| start);
            let contributed = "contributed to estimated rule cost total exceeding cost limit for \
                               entire OpenAPIv3 schema";
            let total = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 \
                         schema";
            vec![
                FieldError::forbidden(field, format!("estimated rule cost {said}")),
                FieldError::forbidden(field, contributed),
                FieldError::forbidden(
                    &format!("{whole}openAPIV3Schema"),
                    format!("{total} {said}"),
                ),
            ]
        }
    }
}

/// A rule as the real server shows it.
fn go_rule(rule: &Value) -> String {
    let text = |name: &str| Value::from(rule[name].as_str().unwrap_or_default()).to_string();
    let shown = format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\
         \"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        rule["reason"],
        text("fieldPath"),
        rule["optionalOldSelf"],
    );
    shown
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// Whether a path, as a rule may give one, leads to a property.
fn names_a_field(schema: &Value, path: &str) -> bool {
    let mut at = schema;
    let path = path.replace("['", ".").replace("']", "");
    let Some(path) = path.strip_prefix('.') else {
        return false;
    };
    for name in path.split('.') {
        at = match at["properties"].get(name) {
            Some(inner) => inner,
            None if at["additionalProperties"].is_object() => &at["additionalProperties"],
            None => return false,
        };
    }
    true
}
