//! Roles and their bindings.

use serde_json::{Value, json};

use super::{items, or, text};
use crate::field::{FieldError, child, item};
use crate::names;

const GROUP: &str = "rbac.authorization.k8s.io";

/// Fills in the groups of a binding.
pub(super) fn default(object: &mut Value) {
    or(&mut object["roleRef"], "apiGroup", GROUP);
    for subject in super::items_mut(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            or(subject, "apiGroup", GROUP);
        }
    }
}

/// The faults of the rules of a role.
pub(super) fn check_rules(object: &Value, namespaced: bool, faults: &mut Vec<FieldError>) {
    for (index, rule) in items(object, "rules").iter().enumerate() {
        let path = item("rules", index);
        let empty = |name: &str| items(rule, name).is_empty();
        if empty("verbs") {
            let said = "verbs must contain at least one value";
            faults.push(FieldError::required(&child(&path, "verbs"), said));
        }
        if !empty("nonResourceURLs") {
            let field = child(&path, "nonResourceURLs");
            let given = &rule["nonResourceURLs"];
            if namespaced {
                let said = "namespaced rules cannot apply to non-resource URLs";
                faults.push(FieldError::invalid(&field, given, said));
            }
            if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
                let said = "rules cannot apply to both regular resources and non-resource URLs";
                faults.push(FieldError::invalid(&field, given, said));
            }
            continue;
        }
        if empty("apiGroups") {
            let said = "resource rules must supply at least one api group";
            faults.push(FieldError::required(&child(&path, "apiGroups"), said));
        }
        if empty("resources") {
            let said = "resource rules must supply at least one resource";
            faults.push(FieldError::required(&child(&path, "resources"), said));
        }
    }
}

/// The faults of a binding.
pub(super) fn check_binding(
    object: &Value,
    old: Option<&Value>,
    namespaced: bool,
    faults: &mut Vec<FieldError>,
) {
    let role = &object["roleRef"];
    if text(role, "apiGroup") != GROUP {
        let field = "roleRef.apiGroup";
        faults.push(FieldError::unsupported(field, &role["apiGroup"], &[GROUP]));
    }
    let known: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !known.contains(&text(role, "kind")) {
        let given = text(role, "kind").into();
        faults.push(FieldError::unsupported("roleRef.kind", &given, known));
    }
    if text(role, "name").is_empty() {
        faults.push(FieldError::required("roleRef.name", ""));
    } else {
        for said in names::path_segment(text(role, "name")) {
            faults.push(FieldError::invalid("roleRef.name", &role["name"], said));
        }
    }
    for (index, subject) in items(object, "subjects").iter().enumerate() {
        check_subject(subject, &item("subjects", index), namespaced, faults);
    }
    if let Some(old) = old
        && old["roleRef"] != object["roleRef"]
    {
        let given = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            role["apiGroup"], role["kind"], role["name"]
        );
        let said = "cannot change roleRef";
        faults.push(FieldError::invalid_shown("roleRef", &given, said));
    }
}

fn check_subject(subject: &Value, path: &str, namespaced: bool, faults: &mut Vec<FieldError>) {
    let name = text(subject, "name");
    let group = text(subject, "apiGroup");
    if name.is_empty() {
        faults.push(FieldError::required(&child(path, "name"), ""));
    }
    let field = child(path, "apiGroup");
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !name.is_empty() {
                for said in names::subdomain(name) {
                    faults.push(FieldError::invalid(
                        &child(path, "name"),
                        &name.into(),
                        said,
                    ));
                }
            }
            if !group.is_empty() {
                faults.push(FieldError::unsupported(&field, &group.into(), &[""]));
            }
            if !namespaced && text(subject, "namespace").is_empty() {
                faults.push(FieldError::required(&child(path, "namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                faults.push(FieldError::unsupported(&field, &group.into(), &[GROUP]));
            }
        }
        other => {
            let known = ["ServiceAccount", "User", "Group"];
            faults.push(FieldError::unsupported(
                &child(path, "kind"),
                &json!(other),
                &known,
            ));
        }
    }
}
