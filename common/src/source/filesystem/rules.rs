//! The file form of rules.

use super::{Document, FileError};
use crate::rule::{Ids, Rule, parse_json_with, parse_yaml_with};

/// The rules of a file, all of them or none. Ids that were made up would be others the next
/// time, and every rule would seem to have changed; so they are derived.
pub(super) fn read(document: &Document<'_>) -> Result<Vec<Rule>, FileError> {
    let rules = match document.json {
        true => parse_json_with(document.text.as_bytes(), Ids::Derive),
        false => parse_yaml_with(document.text, Ids::Derive),
    };
    Ok(rules?)
}
