//! The file form of rules.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Document, FileError};
use crate::rule::{Rule, parse_json, parse_value, parse_yaml};

/// The rules of a file, all of them or none.
pub(super) fn read(document: &Document<'_>) -> Result<Vec<Rule>, FileError> {
    let (rules, value) = if document.json {
        let rules = parse_json(document.text.as_bytes())?;
        (
            rules,
            serde_json::from_str(document.text).map_err(FileError::Json)?,
        )
    } else {
        let rules = parse_yaml(document.text)?;
        let value = serde_saphyr::from_str(document.text);
        (rules, value.map_err(|e| FileError::Yaml(e.to_string()))?)
    };
    // The document is good. Ids that were made for it would be others the next time, and
    // every rule would seem to have changed; so it is read again with ids of its own.
    let mut value: Value = value;
    match give_ids(&mut value) {
        true => Ok(parse_value(value)?),
        false => Ok(rules),
    }
}

/// Gives each rule without an id one that follows from its content. Whether there was any.
fn give_ids(document: &mut Value) -> bool {
    let rules = match document {
        Value::Array(rules) => rules.as_mut_slice(),
        Value::Object(members) if members.contains_key("rules") => match members.get_mut("rules") {
            Some(Value::Array(rules)) => rules.as_mut_slice(),
            _ => return false,
        },
        one => std::slice::from_mut(one),
    };
    let mut given = std::collections::BTreeMap::<String, u32>::new();
    for rule in rules {
        let content = rule.to_string();
        let Value::Object(members) = rule else {
            continue;
        };
        if !members.get("id").is_none_or(Value::is_null) {
            continue;
        }
        let hash = Sha256::digest(content);
        let hash: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
        let copies = given.entry(hash.clone()).or_default();
        *copies += 1;
        let id = match *copies {
            1 => hash,
            copy => format!("{hash}-{copy}"),
        };
        members.insert("id".to_owned(), Value::String(id));
    }
    !given.is_empty()
}
