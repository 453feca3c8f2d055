//! What the metadata of an object may say, whatever its kind.

use serde_json::Value;

use crate::field::{FieldError, child, item};
use crate::{names, object};

/// How the name of an object may be spelled.
pub(crate) type NameRule = fn(&str) -> Vec<String>;

/// All annotations of an object together.
const ANNOTATIONS: usize = 256 * 1024;

/// The faults of the metadata of an object that is to be made.
pub(crate) fn check(object: &Value, namespaced: bool, rule: NameRule) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let generate = object::meta(object, "generateName");
    if !generate.is_empty() {
        for said in names::prefix(generate, rule) {
            faults.push(FieldError::invalid(
                "metadata.generateName",
                &generate.into(),
                said,
            ));
        }
    }
    let name = object::name(object);
    if name.is_empty() {
        let said = "name or generateName is required";
        faults.push(FieldError::required("metadata.name", said));
    } else {
        for said in rule(name) {
            faults.push(FieldError::invalid("metadata.name", &name.into(), said));
        }
    }
    let namespace = object::namespace(object);
    if namespaced && namespace.is_empty() {
        faults.push(FieldError::required("metadata.namespace", ""));
    } else if namespaced {
        for said in names::label(namespace) {
            faults.push(FieldError::invalid(
                "metadata.namespace",
                &namespace.into(),
                said,
            ));
        }
    } else if !namespace.is_empty() {
        let said = "not allowed on this type";
        faults.push(FieldError::forbidden("metadata.namespace", said));
    }
    common(object, &mut faults);
    finalizers(object, &mut faults);
    faults
}

/// The faults of the metadata of an object that takes the place of `old`.
pub(crate) fn check_update(object: &Value, old: &Value) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if object::is_going(old) {
        let known = texts(&old["metadata"]["finalizers"]);
        let new: Vec<_> = texts(&object["metadata"]["finalizers"])
            .into_iter()
            .filter(|finalizer| !known.contains(finalizer))
            .collect();
        if !new.is_empty() {
            let new: Vec<_> = new.iter().map(|f| format!("{f:?}")).collect();
            let said = format!(
                "no new finalizers can be added if the object is being deleted, found new \
                 finalizers []string{{{}}}",
                new.join(", ")
            );
            faults.push(FieldError::forbidden("metadata.finalizers", said));
        }
    }
    if object::meta(object, "resourceVersion").is_empty() {
        let said = "must be specified for an update";
        faults.push(FieldError::invalid_shown(
            "metadata.resourceVersion",
            "\"\"",
            said,
        ));
    }
    for name in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
    ] {
        let (new, old) = (&object["metadata"][name], &old["metadata"][name]);
        if new != old {
            let field = format!("metadata.{name}");
            faults.push(FieldError::invalid(&field, new, "field is immutable"));
        }
    }
    common(object, &mut faults);
    faults
}

fn common(object: &Value, faults: &mut Vec<FieldError>) {
    labels(&object["metadata"]["labels"], "metadata.labels", faults);
    annotations(&object["metadata"]["annotations"], faults);
    owners(&object["metadata"]["ownerReferences"], faults);
}

/// The faults of a set of labels.
pub(crate) fn labels(labels: &Value, path: &str, faults: &mut Vec<FieldError>) {
    for (name, value) in labels.as_object().into_iter().flatten() {
        for said in names::qualified(name) {
            faults.push(FieldError::invalid(path, &name.as_str().into(), said));
        }
        for said in names::label_value(value.as_str().unwrap_or_default()) {
            faults.push(FieldError::invalid(path, value, said));
        }
    }
}

fn annotations(annotations: &Value, faults: &mut Vec<FieldError>) {
    let path = "metadata.annotations";
    let mut size = 0;
    for (name, value) in annotations.as_object().into_iter().flatten() {
        size += name.len() + value.as_str().unwrap_or_default().len();
        for said in names::qualified(&name.to_lowercase()) {
            faults.push(FieldError::invalid(path, &name.as_str().into(), said));
        }
    }
    if size > ANNOTATIONS {
        faults.push(FieldError::too_long(path, ANNOTATIONS));
    }
}

fn owners(owners: &Value, faults: &mut Vec<FieldError>) {
    let path = "metadata.ownerReferences";
    let mut controller: Option<String> = None;
    for owner in owners.as_array().into_iter().flatten() {
        let text = |name: &str| owner[name].as_str().unwrap_or_default();
        for (name, said) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(name).is_empty() {
                faults.push(FieldError::invalid(
                    &child(path, name),
                    &text(name).into(),
                    said,
                ));
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            let said = "/v1, Kind=Event is disallowed from being an owner";
            faults.push(FieldError::invalid(path, owner, said));
        }
        if owner["controller"] == true {
            let this = format!("{}/{}", text("kind"), text("name"));
            match &controller {
                Some(first) => {
                    let said = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in \
                         references for {first} and {this}"
                    );
                    faults.push(FieldError::invalid(path, owners, said));
                }
                None => controller = Some(this),
            }
        }
    }
}

fn finalizers(object: &Value, faults: &mut Vec<FieldError>) {
    let path = "metadata.finalizers";
    let finalizers = texts(&object["metadata"]["finalizers"]);
    for finalizer in &finalizers {
        for said in names::qualified(finalizer) {
            faults.push(FieldError::invalid(path, &(*finalizer).into(), said));
        }
    }
    if ["orphan", "foregroundDeletion"]
        .iter()
        .all(|f| finalizers.contains(f))
    {
        let said = "finalizer orphan and foregroundDeletion cannot be both set";
        faults.push(FieldError::invalid(
            path,
            &object["metadata"]["finalizers"],
            said,
        ));
    }
}

/// The faults of a selector of labels.
pub(crate) fn label_selector(selector: &Value, path: &str, faults: &mut Vec<FieldError>) {
    labels(
        &selector["matchLabels"],
        &child(path, "matchLabels"),
        faults,
    );
    let path = child(path, "matchExpressions");
    for (index, one) in selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        let path = item(&path, index);
        let values = one["values"].as_array().map_or(0, Vec::len);
        match one["operator"].as_str().unwrap_or_default() {
            "In" | "NotIn" if values == 0 => {
                let said = "must be specified when `operator` is 'In' or 'NotIn'";
                faults.push(FieldError::required(&child(&path, "values"), said));
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                let said = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.push(FieldError::forbidden(&child(&path, "values"), said));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => {
                let said = "not a valid selector operator";
                let field = child(&path, "operator");
                faults.push(FieldError::invalid(&field, &one["operator"], said));
            }
        }
        let key = one["key"].as_str().unwrap_or_default();
        for said in names::qualified(key) {
            faults.push(FieldError::invalid(&child(&path, "key"), &key.into(), said));
        }
    }
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
