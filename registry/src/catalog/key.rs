//! Where things stand in the store. The layout is part of a durable store's format.

use a8_common::model::{InstanceId, Namespace};
use a8_common::store::Key;

/// Below it: every instance of every namespace.
pub(super) const INSTANCES: &str = "registry/v1/instances/";

/// The entry of an instance.
pub(super) fn instance(namespace: &Namespace, id: &InstanceId) -> Key {
    format!("{INSTANCES}{namespace}/{id}").into()
}

/// The entry that every newcomer changes where the capacity is limited.
pub(super) fn admission(namespace: &Namespace) -> Key {
    format!("registry/v1/admission/{namespace}").into()
}

/// Namespace and id of an instance's entry; neither can hold a `/`.
pub(super) fn parse(key: &str) -> Option<(Namespace, InstanceId)> {
    let (namespace, id) = key.strip_prefix(INSTANCES)?.split_once('/')?;
    Some((Namespace::new(namespace).ok()?, InstanceId::new(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let (namespace, id) = (
            Namespace::new("a b").unwrap(),
            InstanceId::new("0f").unwrap(),
        );
        assert_eq!(parse(&instance(&namespace, &id)), Some((namespace, id)));
        assert_eq!(parse("registry/v1/instances/x"), None);
        assert_eq!(parse("other"), None);
    }
}
