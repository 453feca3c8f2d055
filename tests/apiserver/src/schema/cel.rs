//! The rules of a schema, written in CEL: whether they compile, and whether an object keeps them.

mod numbers;
mod spelling;
pub(crate) mod types;

use kube_cel::{CompiledSchema, ErrorKind, RootContext, ValidationError, Validator};
use serde_json::Value;

use crate::field::{FieldError, Wrong, shown};

/// The rules of one schema.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    schema: Value,
    root: RootContext,
    any: bool,
}

impl Rules {
    pub(crate) fn compile(schema: &Value, group: &str, version: &str, kind: &str) -> Self {
        Self {
            compiled: kube_cel::compile_schema(&spelling::respelt(schema)),
            schema: schema.clone(),
            any: schema.to_string().contains("\"x-kubernetes-validations\""),
            root: RootContext {
                api_version: format!("{group}/{version}"),
                api_group: group.to_owned(),
                kind: kind.to_owned(),
            },
        }
    }

    /// The rules that an object breaks, which has other faults already. Some of these leave the
    /// rules unchecked.
    pub(crate) fn check_after(
        &self,
        object: &Value,
        old: Option<&Value>,
        faults: &[FieldError],
    ) -> Vec<FieldError> {
        let blocking = faults.iter().any(|fault| {
            matches!(
                fault.wrong,
                Wrong::NotSupported
                    | Wrong::Required
                    | Wrong::TooLong
                    | Wrong::TooMany
                    | Wrong::Type
            )
        });
        if !self.any {
            Vec::new()
        } else if blocking {
            let said = "some validation rules were not checked because the object was invalid; \
                        correct the existing errors to complete validation";
            vec![FieldError::invalid("<nil>", &Value::Null, said)]
        } else {
            self.check(object, old)
        }
    }

    /// The rules that an object breaks.
    fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let declared = |object| numbers::as_declared(&self.schema, object);
        let checked = Validator::new().validate_compiled_with_context(
            &self.compiled,
            &declared(object),
            old.map(declared).as_ref(),
            Some(&self.root),
        );
        let Err(errors) = checked else {
            return Vec::new();
        };
        errors
            .into_iter()
            .map(|error| self.fault(&error, object))
            .collect()
    }

    fn fault(&self, error: &ValidationError, object: &Value) -> FieldError {
        let path = error
            .field_path
            .strip_prefix('.')
            .unwrap_or(&error.field_path);
        let found = at(object, path);
        // The root has no name of its own.
        let field = if path.is_empty() { "<nil>" } else { path };
        if matches!(
            error.kind,
            ErrorKind::EvaluationError | ErrorKind::UnsupportedReference
        ) {
            // A rule of the root is told at the root, wherever its fault would be.
            let (field, found) = match found {
                Some(found) => (field, found),
                None => ("<nil>", object),
            };
            let given = given(found);
            return FieldError::invalid_shown(field, &given, self.unevaluated(error));
        }
        // What is plain is shown where it has the rule itself.
        let given = match found {
            Some(Value::Object(_) | Value::Array(_)) | None => String::new(),
            Some(_) if !self.has_rules(path) => String::new(),
            Some(plain) => shown(plain),
        };
        fault(field, given, error)
    }

    /// A rule that could not be evaluated, with its message or itself.
    fn unevaluated(&self, error: &ValidationError) -> String {
        let why = error
            .message
            .strip_prefix("rule evaluation error: ")
            .unwrap_or(&error.message)
            .replace("No such key", "no such key");
        let rule = rules_of(&self.schema)
            .into_iter()
            .find(|rule| rule["rule"] == error.rule.as_str());
        let named = rule.and_then(|rule| rule["message"].as_str().map(str::to_owned));
        let named = named.unwrap_or_else(|| format!("failed rule: {}", error.rule));
        format!("{why} evaluating rule: {named}")
    }

    fn has_rules(&self, path: &str) -> bool {
        let mut schema = &self.schema;
        for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
            schema = match part.strip_suffix(']') {
                Some(_) => &schema["items"],
                None => match schema["properties"].get(part) {
                    Some(inner) => inner,
                    None => &schema["additionalProperties"],
                },
            };
        }
        schema["x-kubernetes-validations"].is_array()
    }
}

/// All rules of a schema.
fn rules_of(schema: &Value) -> Vec<&Value> {
    let mut rules = Vec::new();
    match schema {
        Value::Object(members) => {
            for (name, inner) in members {
                match inner.as_array() {
                    Some(own) if name == "x-kubernetes-validations" => rules.extend(own),
                    _ => rules.extend(rules_of(inner)),
                }
            }
        }
        Value::Array(items) => rules.extend(items.iter().flat_map(rules_of)),
        _ => {}
    }
    rules
}

fn fault(field: &str, given: String, error: &ValidationError) -> FieldError {
    match (error.reason.as_deref(), &error.kind) {
        (Some("FieldValueForbidden"), _) => FieldError::forbidden(field, error.message.clone()),
        (Some("FieldValueRequired"), _) => FieldError::required(field, error.message.clone()),
        (Some("FieldValueDuplicate"), _) => {
            let mut fault = FieldError::duplicate(field, &Value::Null);
            fault.given = given;
            fault
        }
        _ => FieldError::invalid_shown(field, &given, error.message.clone()),
    }
}

/// The real server names the type of what is not plain.
fn given(value: &Value) -> String {
    match value {
        Value::Object(_) => "\"object\"".into(),
        Value::Array(_) => "\"array\"".into(),
        plain => shown(plain),
    }
}

fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = object;
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let part = part.strip_suffix(']').unwrap_or(part);
        at = match at {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            other => other.get(part)?,
        };
    }
    Some(at)
}
