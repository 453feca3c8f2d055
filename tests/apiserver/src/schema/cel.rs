//! The rules of a schema, written in CEL: whether they compile, and whether an object keeps them.

mod numbers;
mod spelling;

use kube_cel::{CompiledSchema, ErrorKind, RootContext, ValidationError, Validator};
use serde_json::Value;

use crate::field::{FieldError, shown};

/// The rules of one schema.
pub(crate) struct Rules {
    compiled: CompiledSchema,
    schema: Value,
    root: RootContext,
}

impl Rules {
    pub(crate) fn compile(schema: &Value, group: &str, version: &str, kind: &str) -> Self {
        Self {
            compiled: kube_cel::compile_schema(&spelling::respelt(schema)),
            schema: schema.clone(),
            root: RootContext {
                api_version: format!("{group}/{version}"),
                api_group: group.to_owned(),
                kind: kind.to_owned(),
            },
        }
    }

    /// The rules that an object breaks.
    pub(crate) fn check(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
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
            .map(|error| fault(&error, object))
            .collect()
    }
}

fn fault(error: &ValidationError, object: &Value) -> FieldError {
    let path = error
        .field_path
        .strip_prefix('.')
        .unwrap_or(&error.field_path);
    let given = at(object, path).map_or_else(|| "\"\"".to_owned(), given);
    // The root has no name of its own.
    let field = if path.is_empty() { "<nil>" } else { path };
    match (error.reason.as_deref(), &error.kind) {
        (_, ErrorKind::EvaluationError | ErrorKind::UnsupportedReference) => {
            FieldError::invalid_shown(field, &given, error.message.clone())
        }
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
