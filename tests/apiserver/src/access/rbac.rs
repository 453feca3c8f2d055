//! Roles and bindings, as they are stored, decide who may do what.

mod escalation;

pub(crate) use escalation::escalation;

use std::sync::Arc;

use serde_json::Value;

use super::User;
use crate::failure::Failure;
use crate::metadata::texts;
use crate::store::{Key, Store};
use crate::wire::request::Target;

const GROUP: &str = "rbac.authorization.k8s.io";

fn table(plural: &str) -> Arc<str> {
    format!("{GROUP}/{plural}").into()
}

/// Whether somebody may do something; the refusal otherwise.
pub(crate) fn check(store: &Store, user: &User, target: &Target) -> Result<(), Failure> {
    if allowed(store, user, target) {
        return Ok(());
    }
    Err(Failure::forbidden(
        &target.group,
        &target.resource,
        &target.name,
        &refusal(user, target),
    ))
}

fn refusal(user: &User, target: &Target) -> String {
    if target.resource.is_empty() {
        return format!(
            "User {:?} cannot {} path {:?}",
            user.name, target.verb, target.path
        );
    }
    let scope = if target.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", target.namespace)
    };
    format!(
        "User {:?} cannot {} resource {:?} in API group {:?} {scope}",
        user.name,
        target.verb,
        target.full_resource(),
        target.group,
    )
}

/// Whether somebody may do something.
pub(crate) fn allowed(store: &Store, user: &User, target: &Target) -> bool {
    if user.groups.iter().any(|group| group == "system:masters") {
        return true;
    }
    rules(store, user, &target.namespace)
        .iter()
        .any(|rule| permits(rule, target))
}

/// The rules that hold for somebody: everywhere, and in one namespace.
pub(crate) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    let mut rules = Vec::new();
    for (_, binding) in store.list(&table("clusterrolebindings"), None) {
        if names_user(binding, user, "") {
            rules.extend(role_of(store, binding, ""));
        }
    }
    if !namespace.is_empty() {
        for (_, binding) in store.list(&table("rolebindings"), Some(namespace)) {
            if names_user(binding, user, namespace) {
                rules.extend(role_of(store, binding, namespace));
            }
        }
    }
    rules
}

fn names_user(binding: &Value, user: &User, namespace: &str) -> bool {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.into_iter().any(|subject| {
        let name = subject["name"].as_str().unwrap_or_default();
        match subject["kind"].as_str().unwrap_or_default() {
            "User" => user.name == name,
            "Group" => user.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let own = subject["namespace"].as_str().filter(|n| !n.is_empty());
                let namespace = own.unwrap_or(namespace);
                user.name == format!("system:serviceaccount:{namespace}:{name}")
            }
            _ => false,
        }
    })
}

fn role_of(store: &Store, binding: &Value, namespace: &str) -> Vec<Value> {
    let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
    let key = if binding["roleRef"]["kind"] == "ClusterRole" {
        Key::new(&table("clusterroles"), "", name)
    } else {
        Key::new(&table("roles"), namespace, name)
    };
    let role = store.get(&key);
    let rules = role.and_then(|role| role["rules"].as_array().cloned());
    rules.unwrap_or_default()
}

fn has(list: &Value, wanted: &str) -> bool {
    texts(list).iter().any(|one| *one == "*" || *one == wanted)
}

/// Whether a rule permits something.
pub(crate) fn permits(rule: &Value, target: &Target) -> bool {
    if !has(&rule["verbs"], &target.verb) {
        return false;
    }
    if target.resource.is_empty() {
        return texts(&rule["nonResourceURLs"]).iter().any(|path| {
            *path == "*"
                || *path == target.path
                || path
                    .strip_suffix('*')
                    .is_some_and(|start| target.path.starts_with(start))
        });
    }
    let full = target.full_resource();
    let any_of_part = format!("*/{}", target.subresource);
    let resources = texts(&rule["resources"]);
    let resource = resources.iter().any(|one| {
        *one == "*" || *one == full || (!target.subresource.is_empty() && *one == any_of_part)
    });
    let names = texts(&rule["resourceNames"]);
    has(&rule["apiGroups"], &target.group)
        && resource
        && (names.is_empty() || names.contains(&target.name.as_str()))
}
