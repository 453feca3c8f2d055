//! Where things stand in the store. The layout is part of a durable store's format.

use a8_common::model::{Namespace, RuleId};
use a8_common::store::Key;

/// Below it: everything of every namespace.
pub(super) const ALL: &str = "controller/v1/";

const MARKER: &str = "marker";

/// Below it: the rules of a namespace.
pub(super) fn rules(namespace: &Namespace) -> Key {
    format!("{ALL}{namespace}/rules/").into()
}

/// The entry of a rule.
pub(super) fn rule(namespace: &Namespace, id: &RuleId) -> Key {
    format!("{ALL}{namespace}/rules/{id}").into()
}

/// The entry that every transaction of a namespace puts.
pub(super) fn marker(namespace: &Namespace) -> Key {
    format!("{ALL}{namespace}/{MARKER}").into()
}

/// The namespace of an entry, and the id if it is a rule's; neither can hold a `/`.
pub(super) fn parse(key: &str) -> Option<(Namespace, Option<RuleId>)> {
    let (namespace, rest) = key.strip_prefix(ALL)?.split_once('/')?;
    let namespace = Namespace::new(namespace).ok()?;
    match rest.strip_prefix("rules/") {
        Some(id) => Some((namespace, Some(RuleId::new(id).ok()?))),
        None => (rest == MARKER).then_some((namespace, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let (space, id) = (Namespace::new("a b").unwrap(), RuleId::new("r.1").unwrap());
        assert_eq!(parse(&rule(&space, &id)), Some((space.clone(), Some(id))));
        assert_eq!(parse(&marker(&space)), Some((space.clone(), None)));
        assert!(rule(&space, &RuleId::new("r.1").unwrap()).starts_with(&*rules(&space)));
        for other in [
            "controller/v1/x",
            "controller/v1/x/y",
            "controller/v1/x/rules/a b",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
