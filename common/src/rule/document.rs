//! Documents of rules: JSON or YAML; a single rule, a bare list, or `{rules: [...]}`.

use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fault::{Fault, Faults};
use super::node::{Node, Report};
use super::{Rule, read};

/// The most rules that one document may have.
pub const MAX_RULES: usize = 10_000;

/// What becomes of a rule without an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// It is given a UUID of version 4.
    Make,
    /// It is refused.
    Require,
}

/// Reads a JSON document.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_json(document: &[u8]) -> Result<Vec<Rule>, Faults> {
    parse_json_with(document, Ids::Make)
}

/// Reads a JSON document; `ids` says what becomes of a rule without one.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_json_with(document: &[u8], ids: Ids) -> Result<Vec<Rule>, Faults> {
    let Strict(value) = serde_json::from_slice(document)
        .map_err(|e| Faults::document(format!("not a JSON document: {e}")))?;
    parse_value_with(&value, ids)
}

/// Reads a YAML document. Aliases, nesting and size are bounded.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_yaml(document: &str) -> Result<Vec<Rule>, Faults> {
    let Strict(value) = serde_saphyr::from_str(document)
        .map_err(|e| Faults::document(format!("not a YAML document: {e}")))?;
    parse_value_with(&value, Ids::Make)
}

/// Reads a document that is a value already.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_value(document: Value) -> Result<Vec<Rule>, Faults> {
    parse_value_with(&document, Ids::Make)
}

/// Reads a document that is a value already; `ids` says what becomes of a rule without one.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_value_with(document: &Value, ids: Ids) -> Result<Vec<Rule>, Faults> {
    match document {
        Value::Array(rules) => list(rules, ids),
        Value::Object(members) if members.contains_key("rules") => set(members, ids),
        Value::Object(_) => single(document, ids).map(|rule| vec![rule]),
        _ => Err(Faults::document(
            "must be a rule, a list of rules, or an object with a member rules",
        )),
    }
}

/// Reads a single rule.
pub(super) fn single(value: &Value, ids: Ids) -> Result<Rule, Faults> {
    let report = Report::default();
    let rule = read::rule(Node::rule(value, None, &report), ids);
    match (report.into_faults(), rule) {
        (None, Some(rule)) => Ok(rule),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(Faults::document("must be a rule")),
    }
}

/// `revision` may stand beside the rules, as it does in what a controller answers, so that
/// what was got can be sent again.
fn set(members: &Map<String, Value>, ids: Ids) -> Result<Vec<Rule>, Faults> {
    let strangers = members
        .keys()
        .filter(|name| !matches!(name.as_str(), "rules" | "revision"))
        .map(|name| Fault {
            rule: None,
            path: name.clone(),
            reason: "unknown member; known are rules, revision".to_owned(),
        });
    let mut faults: Vec<Fault> = strangers.take(Faults::MAX).collect();
    let rules = match members.get("rules") {
        Some(Value::Array(rules)) => list(rules, ids),
        Some(Value::Null) | None => list(&[], ids),
        Some(_) => Err(Faults::at_rules("must be a list")),
    };
    match rules {
        Ok(rules) => Faults::of(faults).map_or(Ok(rules), Err),
        Err(more) => {
            faults.extend(more);
            Faults::of(faults).map_or(Ok(Vec::new()), Err)
        }
    }
}

fn list(values: &[Value], ids: Ids) -> Result<Vec<Rule>, Faults> {
    if values.len() > MAX_RULES {
        let got = values.len();
        return Err(Faults::at_rules(format!(
            "has {got} rules, at most {MAX_RULES} are allowed"
        )));
    }
    let report = Report::default();
    let mut rules = Vec::with_capacity(values.len());
    let mut seen = HashMap::new();
    for (at, value) in values.iter().enumerate() {
        let node = Node::rule(value, Some(at), &report);
        let Some(rule) = read::rule(node, ids) else {
            continue;
        };
        if let Some(first) = seen.insert(rule.id().clone(), at) {
            let reason = format!("is the id of rules[{first}] too");
            node.fault_in("id", reason);
        }
        rules.push(rule);
    }
    report.into_faults().map_or(Ok(rules), Err)
}

/// A value of which nothing was lost in reading: no member twice, no number that is none.
///
/// Depth is bounded by the reader below it: serde_json's recursion limit, serde-saphyr's budget.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule, a list of rules, or an object with a member rules")
    }

    fn visit_bool<E>(self, given: bool) -> Result<Value, E> {
        Ok(Value::Bool(given))
    }

    fn visit_i64<E>(self, given: i64) -> Result<Value, E> {
        Ok(Value::Number(given.into()))
    }

    fn visit_u64<E>(self, given: u64) -> Result<Value, E> {
        Ok(Value::Number(given.into()))
    }

    fn visit_f64<E: Error>(self, given: f64) -> Result<Value, E> {
        Number::from_f64(given)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format_args!("{given} is not a number that may stand here")))
    }

    fn visit_str<E>(self, given: &str) -> Result<Value, E> {
        Ok(Value::String(given.to_owned()))
    }

    fn visit_string<E>(self, given: String) -> Result<Value, E> {
        Ok(Value::String(given))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Strict(entry)) = given.next_element()? {
            entries.push(entry);
        }
        Ok(Value::Array(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = given.next_key::<String>()? {
            let Strict(value) = given.next_value()?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} is there twice"
                )));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}
