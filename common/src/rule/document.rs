//! Documents of rules: JSON or YAML; a single rule, a bare list, or `{rules: [...]}`.
//!
//! A list is read rule by rule, so that of a large document never more than one rule is in
//! memory as a tree of values, which takes ten times the room of its text.

mod list;
mod strict;

use serde::de::DeserializeSeed;
use serde_json::{Map, Value};

use self::list::Rules;
use super::fault::{Fault, Faults};
use super::node::{Node, Report};
use super::{Rule, read};

pub(super) use self::strict::Strict;

/// The most rules that one document may have.
pub const MAX_RULES: usize = 10_000;

/// What becomes of a rule without an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// It is given a UUID of version 4.
    Make,
    /// It is given one that follows from its content: the same each time the document is read.
    Derive,
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
    let mut rules = Rules::new(ids);
    let mut from = serde_json::Deserializer::from_slice(document);
    let rest = Strict::Document(&mut rules).deserialize(&mut from);
    let rest = rest.and_then(|rest| from.end().map(|()| rest));
    let rest = rest.map_err(|e| Faults::document(format!("not a JSON document: {e}")))?;
    whole(rest, rules)
}

/// Reads a YAML document. Aliases, nesting and size are bounded.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_yaml(document: &str) -> Result<Vec<Rule>, Faults> {
    parse_yaml_with(document, Ids::Make)
}

/// Reads a YAML document, as [`parse_yaml`] does; `ids` says what becomes of a rule without one.
///
/// # Errors
/// Every fault of the document, see [`Faults`].
pub fn parse_yaml_with(document: &str, ids: Ids) -> Result<Vec<Rule>, Faults> {
    let mut rules = Rules::new(ids);
    let rest = serde_saphyr::with_deserializer_from_str(document, |from| {
        Strict::Document(&mut rules).deserialize(from)
    });
    let rest = rest.map_err(|e| Faults::document(format!("not a YAML document: {e}")))?;
    whole(rest, rules)
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
    let mut rules = Rules::new(ids);
    let rest = Strict::Document(&mut rules).deserialize(document);
    let rest = rest.map_err(|e| Faults::document(e.to_string()))?;
    whole(rest, rules)
}

/// Reads a single rule that is a value already.
///
/// # Errors
/// Every fault of the rule, see [`Faults`].
pub fn parse_one(value: &Value, ids: Ids) -> Result<Rule, Faults> {
    let report = Report::default();
    let rule = read::rule(Node::rule(value, None, &report), ids);
    match (report.into_faults(), rule) {
        (None, Some(rule)) => Ok(rule),
        (Some(faults), _) => Err(faults),
        (None, None) => Err(Faults::document("must be a rule")),
    }
}

/// The rules of a document that has been read: those of its list, which in `rest` is empty,
/// or the one that it is.
fn whole(mut rest: Value, mut rules: Rules) -> Result<Vec<Rule>, Faults> {
    match &rest {
        Value::Array(_) => rules.into_result(),
        Value::Object(members) if members.contains_key("rules") => set(members, rules),
        Value::Object(_) => {
            rules.identify(&mut rest);
            parse_one(&rest, rules.ids).map(|rule| vec![rule])
        }
        _ => Err(Faults::document(
            "must be a rule, a list of rules, or an object with a member rules",
        )),
    }
}

/// `revision` may stand beside the rules, as it does in what a controller answers, so that
/// what was got can be sent again.
fn set(members: &Map<String, Value>, rules: Rules) -> Result<Vec<Rule>, Faults> {
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
        Some(Value::Array(_) | Value::Null) | None => rules.into_result(),
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
