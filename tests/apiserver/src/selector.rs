//! Selectors of labels and of fields, as they stand in a query.

use serde_json::Value;

use crate::failure::Failure;
use crate::{names, object};

/// One demand on the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Demand {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Above(String, i64),
    Below(String, i64),
}

/// What the objects of an answer have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Demand>,
    /// A field, its value, and whether it has to be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selector {
    /// The same, of fields that are called otherwise where objects are kept.
    pub(crate) fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        for (field, _, _) in &mut self.fields {
            *field = rename(field);
        }
        self
    }

    /// Reads both selectors of a query. `known` are the fields that the kind can be selected by;
    /// `own`, whether some are its own.
    pub(crate) fn parse(
        labels: &str,
        fields: &str,
        known: &[&str],
        own: bool,
    ) -> Result<Self, Failure> {
        let labels = parse_labels(labels)
            .map_err(|why| Failure::bad_request(format!("unable to parse requirement: {why}")))?;
        let fields = parse_fields(fields)?;
        for (field, _, _) in &fields {
            if !known.contains(&field.as_str()) {
                let message = if own {
                    format!("field label not supported: {field}")
                } else {
                    format!(
                        "{field:?} is not a known field selector: only {}",
                        quoted(known)
                    )
                };
                return Err(Failure::bad_request(message));
            }
        }
        Ok(Self { labels, fields })
    }

    /// Whether it chooses an object.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|demand| demand.matches(object))
            && self
                .fields
                .iter()
                .all(|(field, wanted, equal)| (field_of(object, field) == *wanted) == *equal)
    }
}

fn quoted(fields: &[&str]) -> String {
    let quoted: Vec<_> = fields.iter().map(|f| format!("{f:?}")).collect();
    quoted.join(", ")
}

fn field_of(object: &Value, field: &str) -> String {
    // The one field that is not called as it is spelled in the object.
    if field == "source" {
        let component = &object["source"]["component"];
        let component = component.as_str().filter(|c| !c.is_empty());
        let reporting = object["reportingComponent"].as_str();
        return component.or(reporting).unwrap_or_default().to_owned();
    }
    let mut at = object;
    for name in field.split('.') {
        at = &at[name];
    }
    match at {
        Value::String(text) => text.clone(),
        Value::Null if field == "spec.unschedulable" => "false".into(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl Demand {
    fn matches(&self, object: &Value) -> bool {
        let label = |name: &str| {
            object::labels(object)
                .find(|(label, _)| *label == name)
                .map(|(_, value)| value)
        };
        let number = |name: &str| label(name).and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(name, values) => {
                label(name).is_some_and(|value| values.iter().any(|v| v == value))
            }
            Self::NotIn(name, values) => {
                label(name).is_none_or(|value| values.iter().all(|v| v != value))
            }
            Self::Exists(name) => label(name).is_some(),
            Self::Missing(name) => label(name).is_none(),
            Self::Above(name, least) => number(name).is_some_and(|value| value > *least),
            Self::Below(name, most) => number(name).is_some_and(|value| value < *most),
        }
    }
}

fn parse_fields(text: &str) -> Result<Vec<(String, String, bool)>, Failure> {
    let mut fields = Vec::new();
    for term in text.split(',').filter(|term| !term.is_empty()) {
        let read = term
            .split_once("!=")
            .map(|(field, value)| (field, value, false))
            .or_else(|| {
                term.split_once("==")
                    .map(|(field, value)| (field, value, true))
            })
            .or_else(|| {
                term.split_once('=')
                    .map(|(field, value)| (field, value, true))
            });
        let Some((field, value, equal)) = read else {
            return Err(Failure::bad_request(format!(
                "invalid selector: '{term}'; can't understand '{term}'"
            )));
        };
        fields.push((field.to_owned(), value.to_owned(), equal));
    }
    Ok(fields)
}

/// A selector of labels, read from left to right.
struct Reader<'a> {
    rest: &'a str,
}

fn parse_labels(text: &str) -> Result<Vec<Demand>, String> {
    let mut reader = Reader { rest: text.trim() };
    let mut demands = Vec::new();
    while !reader.rest.is_empty() {
        demands.push(reader.demand()?);
        reader.skip();
        if reader.rest.is_empty() {
            break;
        }
        if !reader.take(",") {
            return Err(format!(
                "found '{}', expected: ',' or 'end of string'",
                reader.rest
            ));
        }
        reader.skip();
        if reader.rest.is_empty() {
            return Err("found '', expected: identifier after ','".into());
        }
    }
    Ok(demands)
}

impl Reader<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        self.skip();
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "!=,()<>".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.word();
        if name.is_empty() {
            return Err(format!(
                "found '{}', expected: !, identifier, or 'end of string'",
                self.rest
            ));
        }
        match names::qualified(&name).first() {
            None => Ok(name),
            Some(fault) => Err(format!("<nil>: Invalid value: {name:?}: {fault}")),
        }
    }

    fn value(&mut self, name: &str) -> Result<String, String> {
        let value = self.word();
        match names::label_value(&value).first() {
            None => Ok(value),
            Some(fault) => Err(format!(
                "values[0][{name}]: Invalid value: {value:?}: {fault}"
            )),
        }
    }

    fn demand(&mut self) -> Result<Demand, String> {
        if self.take("!") {
            return Ok(Demand::Missing(self.name()?));
        }
        let name = self.name()?;
        self.skip();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(Demand::Exists(name));
        }
        if self.take("!=") {
            let value = self.value(&name)?;
            return Ok(Demand::NotIn(name, vec![value]));
        }
        if self.take("==") || self.take("=") {
            let value = self.value(&name)?;
            return Ok(Demand::In(name, vec![value]));
        }
        for (token, above) in [(">", true), ("<", false)] {
            if self.take(token) {
                let value = self.word();
                let value = value.parse().map_err(|_| {
                    format!("values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer")
                })?;
                return Ok(if above {
                    Demand::Above(name, value)
                } else {
                    Demand::Below(name, value)
                });
            }
        }
        match self.word().as_str() {
            "in" => Ok(Demand::In(name.clone(), self.values(&name)?)),
            "notin" => Ok(Demand::NotIn(name.clone(), self.values(&name)?)),
            other => Err(format!(
                "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
            )),
        }
    }

    fn values(&mut self, name: &str) -> Result<Vec<String>, String> {
        if !self.take("(") {
            return Err(format!("found '{}', expected: '('", self.rest));
        }
        let mut values = vec![self.value(name)?];
        while self.take(",") {
            values.push(self.value(name)?);
        }
        if !self.take(")") {
            return Err(format!("found '{}', expected: ',' or ')'", self.rest));
        }
        Ok(values)
    }
}
