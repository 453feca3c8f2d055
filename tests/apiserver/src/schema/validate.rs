//! Validation of a value by its schema, with the words of the real server.

pub(crate) mod format;
mod lists;

use serde_json::{Number, Value};

pub(crate) use lists::check_lists;

use super::{Additional, Schema};
use crate::field::{FieldError, item, shown};

/// The faults of a value. What has not changed since `old` has none: it was let in once.
pub(crate) fn validate(value: &Value, old: Option<&Value>, schema: &Schema) -> Vec<FieldError> {
    let mut checks = Checks::default();
    checks.value(value, old, schema, "");
    checks.faults
}

#[derive(Default)]
struct Checks {
    faults: Vec<FieldError>,
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_integral(number: &Number) -> bool {
    number.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// How the validator names a path: members of the root begin with a dot in some places.
fn named(path: &str) -> &str {
    path.strip_prefix('.').unwrap_or(path)
}

fn sub(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

impl Checks {
    fn say(&mut self, path: &str, value: &Value, detail: String) {
        let detail = format!("{path} in body {detail}");
        self.faults
            .push(FieldError::invalid(named(path), value, detail));
    }

    fn value(&mut self, value: &Value, old: Option<&Value>, schema: &Schema, path: &str) {
        if old == Some(value) {
            return;
        }
        if value.is_null() {
            if !schema.nullable && (schema.kind.is_some() || schema.int_or_string) {
                self.ill_typed(value, schema, path);
            }
            return self.one_of_these(value, schema, path);
        }
        if !self.fits(value, schema) {
            return self.ill_typed(value, schema, path);
        }
        self.junctors(value, schema, path);
        match value {
            Value::String(text) => self.string(value, text, schema, path),
            Value::Number(number) => self.number(value, number, schema, path),
            Value::Array(items) => self.array(items, old, schema, path),
            _ => {}
        }
        self.one_of_these(value, schema, path);
        if let Value::Object(_) = value {
            self.object(value, old, schema, path);
        }
    }

    fn fits(&self, value: &Value, schema: &Schema) -> bool {
        let is = kind_of(value);
        if schema.int_or_string {
            return match value {
                Value::Number(number) => is_integral(number),
                _ => is == "string",
            };
        }
        match (schema.kind.as_deref(), value) {
            (None, _) => true,
            (Some("integer"), Value::Number(number)) if schema.format.is_some() => {
                number.is_i64() || (is_integral(number) && number.as_i64().is_some())
            }
            (Some("integer"), Value::Number(number)) => is_integral(number),
            (Some("number"), Value::Number(_)) => true,
            (Some(wanted), _) => wanted == is,
        }
    }

    fn ill_typed(&mut self, value: &Value, schema: &Schema, path: &str) {
        let wanted = if schema.int_or_string {
            "integer,string"
        } else {
            schema.kind.as_deref().unwrap_or_default()
        };
        let mut given = kind_of(value);
        let mut wanted = wanted.to_owned();
        let integer = schema.kind.as_deref() == Some("integer");
        if integer && value.is_number() {
            let format = match schema.format.as_deref() {
                Some(format) => {
                    given = "float64";
                    format.clone_into(&mut wanted);
                    format!("with format {format}")
                }
                None => "(default format)".to_owned(),
            };
            let said = format!("Checked value must be of type integer {format} in {path}");
            self.faults
                .push(FieldError::invalid_shown("<nil>", "\"\"", said));
        }
        let detail = format!("{path} in body must be of type {wanted}: {given:?}");
        self.faults.push(FieldError::ill_typed(
            named(path),
            format!("{given:?}"),
            detail,
        ));
    }

    fn one_of_these(&mut self, value: &Value, schema: &Schema, path: &str) {
        let Some(these) = &schema.one_of_these else {
            return;
        };
        if these.contains(value) || (value.is_null() && schema.nullable) {
            return;
        }
        let these: Vec<_> = these
            .iter()
            .map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned))
            .collect();
        let these: Vec<_> = these.iter().map(String::as_str).collect();
        self.faults
            .push(FieldError::unsupported(named(path), value, &these));
    }

    fn string(&mut self, value: &Value, text: &str, schema: &Schema, path: &str) {
        let length = text.chars().count() as u64;
        if let Some(most) = schema.max_length
            && length > most
        {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.faults.push(FieldError::too_long(named(path), most));
        } else if let Some(least) = schema.min_length
            && length < least
        {
            self.say(
                path,
                value,
                format!("should be at least {least} chars long"),
            );
        } else if let Some(pattern) = &schema.pattern
            && !pattern.regex().is_some_and(|regex| regex.is_match(text))
        {
            self.say(path, value, format!("should match '{}'", pattern.text));
        }
        if let Some(format) = schema.format.as_deref()
            && !format::fits(format, text)
        {
            let detail = format!("{path} in body must be of type {format}: {text:?}");
            self.faults
                .push(FieldError::ill_typed(named(path), shown(value), detail));
        }
    }

    fn number(&mut self, value: &Value, number: &Number, schema: &Schema, path: &str) {
        let given = number.as_f64().unwrap_or(f64::NAN);
        let limits = [(
            schema.multiple_of,
            "a multiple of",
            schema
                .multiple_of
                .is_some_and(|of| (given / of).fract() != 0.0),
        )];
        if schema.kind.as_deref() == Some("integer")
            && schema.format.as_deref() == Some("int32")
            && number.as_i64().is_some_and(|n| i32::try_from(n).is_err())
        {
            let detail =
                format!("Checked value must be of type integer with format int32 in {path}");
            self.faults
                .push(FieldError::invalid_shown("<nil>", "\"\"", detail));
        }
        for (limit, said, broken) in limits {
            if let (Some(limit), true) = (limit, broken) {
                self.say(path, value, format!("should be {said} {}", go_float(limit)));
            }
        }
        if let Some(most) = schema.maximum {
            let (broken, said) = if schema.exclusive_maximum {
                (given >= most, "less than")
            } else {
                (given > most, "less than or equal to")
            };
            if broken {
                self.say(path, value, format!("should be {said} {}", go_float(most)));
            }
        }
        if let Some(least) = schema.minimum {
            let (broken, said) = if schema.exclusive_minimum {
                (given <= least, "greater than")
            } else {
                (given < least, "greater than or equal to")
            };
            if broken {
                self.say(path, value, format!("should be {said} {}", go_float(least)));
            }
        }
    }

    fn array(&mut self, items: &[Value], old: Option<&Value>, schema: &Schema, path: &str) {
        if let Some(inner) = schema.items.as_deref() {
            for (index, value) in items.iter().enumerate() {
                let old = lists::counterpart(value, old, schema);
                self.value(value, old, inner, &item(path, index));
            }
        }
        let size = items.len();
        if let Some(least) = schema.min_items
            && (size as u64) < least
        {
            let detail = format!("should have at least {least} items");
            self.say(path, &size.into(), detail);
        }
        if let Some(most) = schema.max_items
            && size as u64 > most
        {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.faults
                .push(FieldError::too_many(named(path), size, most));
        }
    }

    fn object(&mut self, value: &Value, old: Option<&Value>, schema: &Schema, path: &str) {
        let Value::Object(members) = value else {
            return;
        };
        let size = members.len();
        if let Some(least) = schema.min_properties
            && (size as u64) < least
        {
            let detail = format!("should have at least {least} properties");
            self.say(path, &size.into(), detail);
        }
        if let Some(most) = schema.max_properties
            && size as u64 > most
        {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            self.faults
                .push(FieldError::too_many(named(path), size, most));
        }
        for (name, value) in members {
            let old = old.and_then(|old| old.get(name));
            if let Some(inner) = schema.member(name) {
                self.value(value, old, inner, &sub(path, name));
            } else if matches!(schema.additional_properties, Some(Additional::Any(false))) {
                let detail = format!("{path}.{name} in body is a forbidden property");
                self.faults
                    .push(FieldError::invalid_shown(named(path), "\"\"", detail));
            }
        }
        for name in &schema.required {
            if !members.contains_key(name) {
                self.faults.push(FieldError::required(&sub(path, name), ""));
            }
        }
    }

    fn junctors(&mut self, value: &Value, schema: &Schema, path: &str) {
        let attempt = |schema: &Schema| {
            let mut inner = Checks::default();
            inner.value(value, None, schema, path);
            inner.faults
        };
        let composite = |detail: String| FieldError::invalid_shown("<nil>", "\"\"", detail);
        if !schema.any_of.is_empty() {
            let results: Vec<_> = schema.any_of.iter().map(attempt).collect();
            if results.iter().all(|faults| !faults.is_empty()) {
                let detail = format!("{path:?} must validate at least one schema (anyOf)");
                self.faults.push(composite(detail));
                self.faults.extend(best(results));
            }
        }
        if !schema.one_of.is_empty() {
            let results: Vec<_> = schema.one_of.iter().map(attempt).collect();
            let valid = results.iter().filter(|faults| faults.is_empty()).count();
            if valid != 1 {
                let found = if valid == 0 {
                    "Found none valid".to_owned()
                } else {
                    format!("Found {valid} valid alternatives")
                };
                let detail =
                    format!("{path:?} must validate one and only one schema (oneOf). {found}");
                self.faults.push(composite(detail));
                if valid == 0 {
                    self.faults.extend(best(results));
                }
            }
        }
        if !schema.all_of.is_empty() {
            let results: Vec<_> = schema.all_of.iter().map(attempt).collect();
            let valid = results.iter().filter(|faults| faults.is_empty()).count();
            self.faults.extend(results.into_iter().flatten());
            if valid != schema.all_of.len() {
                let none = if valid == 0 { ". None validated" } else { "" };
                let detail = format!("{path:?} must validate all the schemas (allOf){none}");
                self.faults.push(composite(detail));
            }
        }
        if let Some(not) = schema.not.as_deref()
            && attempt(not).is_empty()
        {
            let detail = format!("{path:?} must not validate the schema (not)");
            self.faults.push(composite(detail));
        }
    }
}

fn best(results: Vec<Vec<FieldError>>) -> Vec<FieldError> {
    results.into_iter().min_by_key(Vec::len).unwrap_or_default()
}

/// A number as Go's `%v` writes it.
pub(crate) fn go_float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let exponent: i32 = scientific
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    if (-4..6).contains(&exponent) || number == 0.0 {
        return format!("{number}");
    }
    let (mantissa, _) = scientific.split_once('e').unwrap_or((&scientific, ""));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}
