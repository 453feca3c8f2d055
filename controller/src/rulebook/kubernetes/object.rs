//! From a rule to its object and back.

use a8_common::kubernetes::routing_rule;
use a8_common::model::RuleId;
use a8_common::rule::{Fault, Rule};
use kube::core::{DynamicObject, ObjectMeta};
use serde_json::{Value, json};

use crate::rulebook::WriteError;

/// Who made an object: kubectl and people look there.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "a8controller");

/// A new object for `rule`.
pub(super) fn made(rule: &Rule) -> Result<DynamicObject, WriteError> {
    let mut object = DynamicObject::new(rule.id().as_str(), &routing_rule::kind());
    let (label, value) = MANAGED_BY;
    object.metadata.labels = Some([(label.to_owned(), value.to_owned())].into());
    object.data = json!({ "spec": spec(rule)? });
    Ok(object)
}

/// `before` with `rule` in it. What others keep with the object stays: labels, annotations,
/// owners, and the version, which must be the same when this is sent.
pub(super) fn replaced(before: &DynamicObject, rule: &Rule) -> Result<DynamicObject, WriteError> {
    Ok(with_spec(before, spec(rule)?))
}

/// `now` with the spec that `before` has.
pub(super) fn put_back(now: &DynamicObject, before: &DynamicObject) -> DynamicObject {
    with_spec(now, spec_of(before))
}

/// An object like `before`, which is gone.
pub(super) fn made_again(before: &DynamicObject) -> DynamicObject {
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
pub(super) fn says_the_same(object: &DynamicObject, before: &DynamicObject) -> bool {
    spec_of(object) == spec_of(before)
}

/// Whether `object` says what `rule` does.
pub(super) fn says(object: &DynamicObject, rule: &Rule) -> bool {
    routing_rule::rule(object).is_ok_and(|read| read == *rule)
}

pub(super) fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
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

/// The rule without its id, which is the object's name.
fn spec(rule: &Rule) -> Result<Value, WriteError> {
    let mut spec = serde_json::to_value(rule).map_err(WriteError::Unwritable)?;
    if let Value::Object(members) = &mut spec {
        members.remove("id");
    }
    Ok(spec)
}

/// Every id among those of `rules` that no object can have.
pub(super) fn unfit(rules: &[Rule]) -> Vec<Fault> {
    let fault = |(at, rule): (usize, &Rule)| {
        let fault = Fault {
            rule: Some(at),
            path: "id".to_owned(),
            reason: "must be a name that Kubernetes takes: lower-case letters, digits, '-' and \
                     '.', beginning and ending with a letter or digit"
                .to_owned(),
        };
        (!is_name(rule.id())).then_some(fault)
    };
    rules.iter().enumerate().filter_map(fault).collect()
}

/// Whether an object can have it as its name: a subdomain as RFC 1123 has it.
fn is_name(id: &RuleId) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = bytes.iter().all(|b| edge(*b) || *b == b'-');
        inner && bytes.first().is_some_and(|b| edge(*b)) && bytes.last().is_some_and(|b| edge(*b))
    };
    id.as_str().split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_must_be_a_name_that_kubernetes_takes() {
        for (id, fits) in [
            ("a", true),
            ("a-1.b", true),
            ("0", true),
            ("7cf2e5a4-0c8e-4f39-9d93-2d3f9a1a0f41", true),
            ("A", false),
            ("a_b", false),
            ("-a", false),
            ("a-", false),
            ("a..b", false),
            (".a", false),
            ("a.-b", false),
        ] {
            assert_eq!(is_name(&RuleId::new(id).unwrap()), fits, "{id}");
        }
    }

    #[test]
    fn what_others_keep_with_an_object_stays() {
        let to = |to: &str| {
            let rule =
                json!({"id": "a", "destination": to, "route": {"backends": [{"tags": ["t"]}]}});
            a8_common::rule::parse_value(rule).unwrap().remove(0)
        };
        let (first, second) = (to("s"), to("t"));
        let mut before = made(&first).unwrap();
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
