//! From a rule to its object and back, for those who write them: the controller's book, and the
//! command.

use std::collections::BTreeMap;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{DynamicObject, ObjectMeta, Request};
use serde_json::{Value, json};

use super::routing_rule::{is_name, object, rule};
use super::{Cluster, ROUTING_RULES};
use crate::rule::{Fault, Rule};

/// The label by which kubectl and people see who made an object.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A new object for `rule`, made by `manager`.
///
/// # Errors
/// When the rule cannot be written down, which no rule is known to cause.
pub fn made(rule: &Rule, manager: &str) -> Result<DynamicObject, serde_json::Error> {
    let mut object = object(rule)?;
    object.metadata.labels = Some([(MANAGED_BY.to_owned(), manager.to_owned())].into());
    Ok(object)
}

/// `before` with `rule` in it. What others keep with the object stays: labels, annotations,
/// owners, and the version, which must be the same when this is sent.
///
/// # Errors
/// As [`made`].
pub fn replaced(before: &DynamicObject, rule: &Rule) -> Result<DynamicObject, serde_json::Error> {
    Ok(with_spec(before, spec_of(&object(rule)?)))
}

/// `now` with the spec that `before` has.
pub fn put_back(now: &DynamicObject, before: &DynamicObject) -> DynamicObject {
    with_spec(now, spec_of(before))
}

/// An object like `before`, which is gone.
pub fn made_again(before: &DynamicObject) -> DynamicObject {
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

/// Makes `object`, as it stands: a member that the cluster's definition does not know is refused
/// and not dropped. Whether it was done is open when the caller does not wait for the answer.
///
/// # Errors
/// What the API server, or the way to it, has against it.
pub async fn create(
    cluster: &Cluster,
    object: &DynamicObject,
    how: &PostParams,
) -> Result<DynamicObject, kube::Error> {
    send(cluster, object, |url, body| url.create(how, body)).await
}

/// Replaces the object that has the name and the version of `object`, as [`create`] makes it.
///
/// # Errors
/// As [`create`].
pub async fn replace(
    cluster: &Cluster,
    object: &DynamicObject,
    how: &PostParams,
) -> Result<DynamicObject, kube::Error> {
    send(cluster, object, |url, body| {
        url.replace(name(object), how, body)
    })
    .await
}

async fn send(
    cluster: &Cluster,
    object: &DynamicObject,
    request: impl FnOnce(
        &Request,
        Vec<u8>,
    ) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<DynamicObject, kube::Error> {
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let url = Request::new(ROUTING_RULES.path(Some(&cluster.namespace)));
    let mut request = request(&url, body).map_err(kube::Error::BuildRequest)?;
    let strict = format!("{}&fieldValidation=Strict", request.uri());
    let strict = strict.parse::<http::Uri>().map_err(http::Error::from);
    *request.uri_mut() = strict.map_err(kube::Error::HttpError)?;
    cluster.client.request(request).await
}

/// Deletes `object` only if it is still the same in the same version.
pub fn if_unchanged(object: &DynamicObject) -> DeleteParams {
    DeleteParams::background().preconditions(Preconditions {
        resource_version: object.metadata.resource_version.clone(),
        uid: object.metadata.uid.clone(),
    })
}

/// Whether `object` still says what `before` said.
pub fn says_the_same(object: &DynamicObject, before: &DynamicObject) -> bool {
    spec_of(object) == spec_of(before)
}

/// Whether `object` says what `said` does.
pub fn says(object: &DynamicObject, said: &Rule) -> bool {
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
