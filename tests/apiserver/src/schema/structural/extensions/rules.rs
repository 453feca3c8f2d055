//! The rules of a schema: how they are written, and whether they compile.

use serde_json::Value;

use super::super::{list, members};
use crate::field::{FieldError, child, item};
use crate::schema::cel::types;

/// The faults of how rules are written.
pub(super) fn rules(schema: &Value, path: &str, faults: &mut Vec<FieldError>) {
    for (index, rule) in list(schema, "x-kubernetes-validations") {
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
pub(in crate::schema::structural) fn compile(
    schema: &Value,
    path: &str,
    root: bool,
    faults: &mut Vec<FieldError>,
) {
    for (index, rule) in list(schema, "x-kubernetes-validations") {
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
