//! Rules as objects that are read and written: by the controller's book, and by the command.
//! [`Objects`] are a namespace's; a write is made of [`Step`]s and done as a whole or not at all.

mod calls;
mod steps;
mod undo;
mod writes;

use std::collections::BTreeMap;

use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use super::routing_rule::{is_name, object, rule};
use crate::rule::{Fault, Rule};

pub use calls::{CallError, Listed, Objects, bounded, version};
pub use steps::{Done, Step, Terms};
pub use writes::{AT_ONCE, NotWritten};

/// The label by which kubectl and people see who made an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A new object for `rule`, made by `manager`. That a rule cannot be written down no rule is
/// known to cause.
fn made(rule: &Rule, manager: &str) -> Result<DynamicObject, serde_json::Error> {
    let mut object = object(rule)?;
    object.metadata.labels = Some([(MANAGED_BY.to_owned(), manager.to_owned())].into());
    Ok(object)
}

/// `before` with `rule` in it. What others keep with the object stays: labels, annotations,
/// owners, and the version, which must be the same when this is sent.
fn replaced(before: &DynamicObject, rule: &Rule) -> Result<DynamicObject, serde_json::Error> {
    Ok(with_spec(before, spec_of(&object(rule)?)))
}

/// `now` with the spec that `before` has.
fn put_back(now: &DynamicObject, before: &DynamicObject) -> DynamicObject {
    with_spec(now, spec_of(before))
}

/// An object like `before`, which is gone.
fn made_again(before: &DynamicObject) -> DynamicObject {
    let ObjectMeta {
        name,
        labels,
        annotations,
        owner_references,
        finalizers,
        ..
    } = before.metadata.clone();
    DynamicObject {
        types: before.types.clone(),
        metadata: ObjectMeta {
            name,
            labels,
            annotations,
            owner_references,
            finalizers,
            ..ObjectMeta::default()
        },
        data: json!({ "spec": spec_of(before) }),
    }
}

/// Whether `object` still says what `before` said.
fn says_the_same(object: &DynamicObject, before: &DynamicObject) -> bool {
    spec_of(object) == spec_of(before)
}

/// Whether `object` says what `said` does.
fn says(object: &DynamicObject, said: &Rule) -> bool {
    rule(object).is_ok_and(|read| read == *said)
}

/// Its name; empty for an object that is yet to get one.
pub fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// `objects` by name.
pub fn by_name(objects: Vec<DynamicObject>) -> BTreeMap<String, DynamicObject> {
    let named = |object: DynamicObject| (name(&object).to_owned(), object);
    objects.into_iter().map(named).collect()
}

fn with_spec(object: &DynamicObject, spec: Value) -> DynamicObject {
    let mut object = object.clone();
    // Left out, they stay as they are.
    object.metadata.managed_fields = None;
    if let Value::Object(members) = &mut object.data {
        members.insert("spec".to_owned(), spec);
        members.remove("status");
    } else {
        object.data = json!({ "spec": spec });
    }
    object
}

fn spec_of(object: &DynamicObject) -> Value {
    object.data.get("spec").cloned().unwrap_or_default()
}

/// Every id among those of `rules` that no object can have.
pub fn unfit(rules: &[Rule]) -> Vec<Fault> {
    let fault = |(at, rule): (usize, &Rule)| {
        let fault = Fault {
            rule: Some(at),
            path: "id".to_owned(),
            reason: format!(
                "must be a name that Kubernetes takes: lower-case letters, digits, '-' and '.', \
                 beginning and ending with a letter or digit, got {:?}",
                rule.id().as_str()
            ),
        };
        (!is_name(rule.id())).then_some(fault)
    };
    rules.iter().enumerate().filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_keep_with_an_object_stays() {
        let to = |to: &str| {
            let rule =
                json!({"id": "a", "destination": to, "route": {"backends": [{"tags": ["t"]}]}});
            crate::rule::parse_value(rule).unwrap().remove(0)
        };
        let (first, second) = (to("s"), to("t"));
        let mut before = made(&first, "me").unwrap();
        before.metadata.resource_version = Some("7".to_owned());
        before.metadata.uid = Some("u".to_owned());
        before.metadata.annotations = Some([("note".to_owned(), "mine".to_owned())].into());
        before.data["status"] = json!({"state": "valid"});
        let after = replaced(&before, &second).unwrap();
        assert_eq!(after.metadata, before.metadata);
        assert_eq!(after.data.get("status"), None);
        assert_eq!(after.data["spec"].get("id"), None);
        assert!(says(&after, &second) && !says(&after, &first));
        assert!(says_the_same(&put_back(&after, &before), &before));
        let again = made_again(&before);
        assert_eq!(again.metadata.resource_version, None);
        assert_eq!(again.metadata.uid, None);
        assert_eq!(again.metadata.annotations, before.metadata.annotations);
        assert!(says(&again, &first));
    }
}
