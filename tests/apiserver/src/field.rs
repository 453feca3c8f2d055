//! A fault of one field of an object, worded as the real server words it.

use std::fmt::Write;

use serde_json::Value;

use crate::failure::Cause;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    Required,
    Invalid,
    Type,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    NotFound,
}

/// One fault of one field.
#[derive(Clone, Debug)]
pub(crate) struct FieldError {
    pub(crate) wrong: Wrong,
    pub(crate) field: String,
    /// What was given, in words; empty where the real server leaves it out.
    pub(crate) given: String,
    pub(crate) detail: String,
}

impl FieldError {
    fn new(wrong: Wrong, field: &str, given: String, detail: impl Into<String>) -> Self {
        Self {
            wrong,
            field: field.to_owned(),
            given,
            detail: detail.into(),
        }
    }

    pub(crate) fn required(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Wrong::Required, field, String::new(), detail)
    }

    pub(crate) fn invalid(field: &str, given: &Value, detail: impl Into<String>) -> Self {
        Self::new(Wrong::Invalid, field, shown(given), detail)
    }

    /// An invalid value that is shown as the real server shows it, not as JSON.
    pub(crate) fn invalid_shown(field: &str, given: &str, detail: impl Into<String>) -> Self {
        Self::new(Wrong::Invalid, field, given.to_owned(), detail)
    }

    pub(crate) fn ill_typed(field: &str, given: String, detail: impl Into<String>) -> Self {
        Self::new(Wrong::Type, field, given, detail)
    }

    pub(crate) fn unsupported(field: &str, given: &Value, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", supported.join(", "));
        Self::new(Wrong::NotSupported, field, shown(given), detail)
    }

    pub(crate) fn duplicate(field: &str, given: &Value) -> Self {
        Self::new(Wrong::Duplicate, field, shown(given), "")
    }

    pub(crate) fn forbidden(field: &str, detail: impl Into<String>) -> Self {
        Self::new(Wrong::Forbidden, field, String::new(), detail)
    }

    pub(crate) fn too_long(field: &str, bytes: usize) -> Self {
        let detail = format!("may not be more than {bytes} bytes");
        Self::new(Wrong::TooLong, field, String::new(), detail)
    }

    pub(crate) fn too_many(field: &str, given: usize, most: usize) -> Self {
        let detail = format!("must have at most {most} items");
        Self::new(Wrong::TooMany, field, given.to_string(), detail)
    }

    pub(crate) fn not_found(field: &str, given: &Value) -> Self {
        Self::new(Wrong::NotFound, field, shown(given), "")
    }

    /// Everything but the field's name.
    pub(crate) fn body(&self) -> String {
        let mut text = String::from(match self.wrong {
            Wrong::Required => "Required value",
            Wrong::Invalid | Wrong::Type => "Invalid value",
            Wrong::NotSupported => "Unsupported value",
            Wrong::Duplicate => "Duplicate value",
            Wrong::Forbidden => "Forbidden",
            Wrong::TooLong => "Too long",
            Wrong::TooMany => "Too many",
            Wrong::NotFound => "Not found",
        });
        for part in [&self.given, &self.detail] {
            if !part.is_empty() {
                let _ = write!(text, ": {part}");
            }
        }
        text
    }

    pub(crate) fn cause(&self) -> Cause {
        let reason = match self.wrong {
            Wrong::Required => "FieldValueRequired",
            Wrong::Invalid => "FieldValueInvalid",
            Wrong::Type => "FieldValueTypeInvalid",
            Wrong::NotSupported => "FieldValueNotSupported",
            Wrong::Duplicate => "FieldValueDuplicate",
            Wrong::Forbidden => "FieldValueForbidden",
            Wrong::TooLong => "FieldValueTooLong",
            Wrong::TooMany => "FieldValueTooMany",
            Wrong::NotFound => "FieldValueNotFound",
        };
        Cause {
            reason: reason.into(),
            message: self.body(),
            field: self.field.clone(),
        }
    }
}

/// A value as the real server shows it in an error.
pub(crate) fn shown(given: &Value) -> String {
    match given {
        Value::String(text) => format!("{text:?}"),
        other => sorted(other),
    }
}

/// JSON with the members of each object in order, as Go writes a map.
pub(crate) fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            let inner: Vec<_> = names
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), sorted(value)))
                .collect();
            format!("{{{}}}", inner.join(","))
        }
        Value::Array(items) => {
            let inner: Vec<_> = items.iter().map(sorted).collect();
            format!("[{}]", inner.join(","))
        }
        plain => plain.to_string(),
    }
}

/// The path of a member.
pub(crate) fn child(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The path of an item.
pub(crate) fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
