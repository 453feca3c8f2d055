//! Labels as tags, and selectors over them.

use std::collections::BTreeMap;

use crate::model::{Tag, Tags};

/// `key=value` for each label, or `key` where the value is empty.
pub(crate) fn tags(labels: Option<BTreeMap<String, String>>) -> Tags {
    let tag = |(key, value): (String, String)| match value.as_str() {
        "" => Tag::new(key),
        value => Tag::new(format!("{key}={value}")),
    };
    labels
        .into_iter()
        .flatten()
        .filter_map(|label| tag(label).ok())
        .collect()
}

/// Whether a Service with `selector` has the pods with `labels`. Without a selector it has
/// none that we would know of.
pub(crate) fn selects(
    selector: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
}
