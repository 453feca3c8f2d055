//! What the real server does with built-in kinds beyond their types: what it fills in, what it
//! refuses. Only where tests of ours could notice.

mod config;
pub(crate) mod events;
mod lease;
mod pod;
mod rbac;
mod service;
mod slice;
mod workload;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::store::Store;
use crate::{crd, object};

/// A new object as its kind is when nothing is said: the members that are always there.
pub(crate) fn blank(kind: &Kind) -> Value {
    let (pod, meta) = (json!({"containers": null}), json!({}));
    let template = json!({"metadata": meta, "spec": pod});
    match kind.plural.as_str() {
        "pods" => json!({"metadata": {}, "spec": pod, "status": {}}),
        "deployments" | "statefulsets" | "daemonsets" => json!({
            "metadata": {}, "status": {},
            "spec": {
                "selector": null, "template": template, "strategy": {}, "updateStrategy": {},
            },
        }),
        "replicasets" | "jobs" => {
            json!({"metadata": {}, "spec": {"template": template}, "status": {}})
        }
        "cronjobs" => json!({
            "metadata": {}, "status": {},
            "spec": {"jobTemplate": {"metadata": {}, "spec": {"template": template}}},
        }),
        "services" => json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        "endpointslices" => json!({"metadata": {}, "endpoints": null, "ports": null}),
        "rolebindings" | "clusterrolebindings" => json!({"metadata": {}, "roleRef": {}}),
        "events" => {
            json!({"metadata": {}, "involvedObject": {}, "regarding": {}, "source": {}})
        }
        "customresourcedefinitions" => json!({
            "metadata": {}, "spec": {"names": {}}, "status": {"acceptedNames": {}},
        }),
        "configmaps" | "secrets" | "serviceaccounts" | "endpoints" => json!({"metadata": {}}),
        _ => json!({"metadata": {}, "spec": {}, "status": {}}),
    }
}

/// A new object before it is kept: whoever makes it does not say how it is.
pub(crate) fn prepare(kind: &Kind, object: &mut Value) {
    if !kind.status || kind.is("", "nodes") {
        return;
    }
    object["status"] = match kind.plural.as_str() {
        "namespaces" => json!({"phase": "Active"}),
        "pods" => json!({"phase": "Pending", "qosClass": pod::quality(object)}),
        "services" => json!({"loadBalancer": {}}),
        _ => json!({}),
    };
    if kind.is("", "namespaces") {
        object["spec"] = json!({"finalizers": ["kubernetes"]});
    }
    if kind.plural == "customresourcedefinitions" {
        crd::default(object);
    }
}

/// Fills in what was not said.
pub(crate) fn default(kind: &Kind, object: &mut Value) {
    match kind.plural.as_str() {
        "pods" => {
            or(object, "spec", json!({}));
            pod::admitted(&mut object["spec"]);
            or(&mut object["spec"], "serviceAccountName", "default");
            or(&mut object["spec"], "enableServiceLinks", true);
            pod::default(&mut object["spec"]);
        }
        "services" => service::default(object),
        "endpointslices" => slice::default(object),
        "endpoints" => service::default_endpoints(object),
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" | "jobs" | "cronjobs" => {
            workload::default(&kind.plural, object);
        }
        "rolebindings" | "clusterrolebindings" => rbac::default(object),
        "secrets" => config::default(object),
        "customresourcedefinitions" => crd::default(object),
        "namespaces" => namespace_label(object),
        _ => {}
    }
}

/// Every namespace says its name by a label, too.
fn namespace_label(object: &mut Value) {
    let name = object::name(object).to_owned();
    let labels = &mut object::meta_mut(object)
        .entry("labels")
        .or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

/// What an update cannot take away.
pub(crate) fn keep(kind: &Kind, old: &Value, object: &mut Value) {
    match kind.plural.as_str() {
        "services" => service::keep(old, object),
        "namespaces" if object["spec"]["finalizers"].is_null() => {
            object::copy_member(object, old, "spec");
        }
        _ => {}
    }
}

/// The faults of an object.
pub(crate) fn check(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    match kind.plural.as_str() {
        "pods" => pod::check(object, old, &mut faults),
        "services" => service::check(object, old, &mut faults),
        "endpointslices" => slice::check(object, old, &mut faults),
        "poddisruptionbudgets" => workload::check_budget(object, &mut faults),
        "leases" => lease::check(object, &mut faults),
        "deployments" | "replicasets" | "statefulsets" | "daemonsets" => {
            workload::check(object, old, &mut faults);
        }
        "jobs" | "cronjobs" => workload::check_job(&kind.plural, object, &mut faults),
        "roles" | "clusterroles" => {
            rbac::check_rules(object, kind.namespaced, &mut faults);
        }
        "rolebindings" | "clusterrolebindings" => {
            rbac::check_binding(object, old, kind.namespaced, &mut faults);
        }
        "configmaps" => config::check_map(object, old, &mut faults),
        "secrets" => config::check_secret(object, old, &mut faults),
        "customresourcedefinitions" => crd::check(object, old, &mut faults),
        "events" => events::check(object, old, &mut faults),
        _ => {}
    }
    faults
}

/// What else has to be there for an object to be let in.
pub(crate) fn admit(kind: &Kind, store: &Store, object: &Value) -> Result<(), Failure> {
    if kind.is("", "pods") {
        return pod::account_exists(store, object);
    }
    Ok(())
}

/// Gives an object what only one may have: an address of a Service.
pub(crate) fn allocate(kind: &Kind, store: &Store, object: &mut Value) -> Result<(), Failure> {
    if kind.is("", "services") {
        return service::allocate(store, object);
    }
    Ok(())
}

/// Sets a member that was not given.
fn or(object: &mut Value, name: &str, value: impl Into<Value>) {
    if object[name].is_null() {
        object[name] = value.into();
    }
}

/// The items of a list, to be changed; none where there is no list.
fn items_mut<'a>(object: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> {
    object
        .get_mut(name)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object[name].as_array().map_or(&[], Vec::as_slice)
}

/// The faults of a number of a port.
fn port_number(value: &Value, path: &str, faults: &mut Vec<FieldError>) {
    if !value
        .as_i64()
        .is_some_and(|port| (1..=65535).contains(&port))
    {
        let given = if value.is_null() { &json!(0) } else { value };
        let said = "must be between 1 and 65535, inclusive";
        faults.push(FieldError::invalid(path, given, said));
    }
}
