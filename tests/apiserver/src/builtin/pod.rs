//! Pods, and the templates of them.

mod containers;
mod defaults;

use std::collections::HashSet;

use serde_json::Value;

use super::{items, text};
use crate::failure::Failure;
use crate::field::{FieldError, child, item};
use crate::store::{Key, Store};
use crate::{names, object};
use containers::check_container;
pub(super) use defaults::{admitted, default};

/// How its memory is guarded; tests only need one that is possible.
pub(super) fn quality(object: &Value) -> &'static str {
    let some = items(&object["spec"], "containers")
        .iter()
        .any(|container| {
            let resources = &container["resources"];
            ["requests", "limits"]
                .iter()
                .any(|name| resources[name].as_object().is_some_and(|r| !r.is_empty()))
        });
    if some { "Burstable" } else { "BestEffort" }
}

/// Whether there is the account that a pod is to run with. The default one always is, as it
/// would be where its controller runs.
pub(super) fn account_exists(store: &Store, pod: &Value) -> Result<(), Failure> {
    let account = text(&pod["spec"], "serviceAccountName");
    let namespace = object::namespace(pod);
    let key = Key::new(&"/serviceaccounts".into(), namespace, account);
    if account == "default" || store.get(&key).is_some() {
        return Ok(());
    }
    let why = format!(
        "error looking up service account {namespace}/{account}: serviceaccount {account:?} not \
         found"
    );
    Err(Failure::forbidden("", "pods", object::name(pod), &why).plainly())
}

/// The faults of a pod.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    check_spec(&object["spec"], "spec", false, faults);
    let Some(old) = old else {
        return;
    };
    let mutable = |object: &Value| {
        let mut spec = object["spec"].clone();
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        for name in [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
        ] {
            spec[name] = Value::Null;
        }
        spec
    };
    if mutable(object) != mutable(old) {
        let said = "pod updates may not change fields other than \
                    `spec.containers[*].image`,`spec.initContainers[*].image`,\
                    `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if \
                    it was previously negative)";
        faults.push(FieldError::forbidden("spec", said));
    }
}

/// The faults of the specification of a pod, which may be that of a template.
pub(super) fn check_spec(spec: &Value, path: &str, template: bool, faults: &mut Vec<FieldError>) {
    let mut seen = HashSet::new();
    let volumes = check_volumes(spec, path, faults);
    if items(spec, "containers").is_empty() {
        faults.push(FieldError::required(&child(path, "containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in items(spec, list).iter().enumerate() {
            let path = item(&child(path, list), index);
            check_container(container, &path, list == "initContainers", &volumes, faults);
            let name = text(container, "name");
            if !name.is_empty() && !seen.insert(name) {
                faults.push(FieldError::duplicate(&child(&path, "name"), &name.into()));
            }
        }
    }
    let known = ["Always", "OnFailure", "Never"];
    let restart = text(spec, "restartPolicy");
    if restart.is_empty() {
        faults.push(FieldError::required(&child(path, "restartPolicy"), ""));
    } else if !known.contains(&restart) {
        let field = child(path, "restartPolicy");
        faults.push(FieldError::unsupported(&field, &restart.into(), &known));
    }
    let _ = template;
    let known = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    let policy = text(spec, "dnsPolicy");
    if !known.contains(&policy) {
        let field = child(path, "dnsPolicy");
        faults.push(FieldError::unsupported(&field, &policy.into(), &known));
    }
    for (name, rule) in [
        ("nodeName", names::subdomain as fn(&str) -> _),
        ("serviceAccountName", names::subdomain),
        ("hostname", names::label),
    ] {
        let given = text(spec, name);
        if !given.is_empty() {
            for said in rule(given) {
                faults.push(FieldError::invalid(&child(path, name), &given.into(), said));
            }
        }
    }
}

/// The names of the volumes that have no faults.
fn check_volumes<'a>(
    spec: &'a Value,
    path: &str,
    faults: &mut Vec<FieldError>,
) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    let mut good = HashSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let before = faults.len();
        let path = item(&child(path, "volumes"), index);
        let name = text(volume, "name");
        let field = child(&path, "name");
        if name.is_empty() {
            faults.push(FieldError::required(&field, ""));
        } else {
            for said in names::label(name) {
                faults.push(FieldError::invalid(&field, &name.into(), said));
            }
        }
        if !seen.insert(name) {
            faults.push(FieldError::duplicate(&field, &name.into()));
        }
        for (kind, name) in [("secret", "secretName"), ("configMap", "name")] {
            if volume[kind].is_object() && text(&volume[kind], name).is_empty() {
                let field = child(&path, &format!("{kind}.{name}"));
                faults.push(FieldError::required(&field, ""));
            }
        }
        let sources = volume.as_object().map_or(0, |members| members.len() - 1);
        if sources == 0 {
            faults.push(FieldError::required(&path, "must specify a volume type"));
        } else if sources > 1 {
            faults.push(FieldError::forbidden(
                &path,
                "may not specify more than 1 volume type",
            ));
        }
        if faults.len() == before {
            good.insert(name);
        }
    }
    good
}
