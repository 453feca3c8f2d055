//! Nobody gives others more than they have: what somebody lacks of what they would give.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{GROUP, User, allowed, permits, role_of, rules, table};
use crate::failure::Failure;
use crate::metadata::texts;
use crate::object;
use crate::store::{Key, Store};
use crate::wire::request::Target;

/// One thing that one may do: groups, resources, names and paths with one verb.
type Single = (Vec<String>, Vec<String>, Vec<String>, Vec<String>);

/// What somebody does not have of a role, or of the role of a binding: as the real server tells
/// it, in its order.
///
/// # Errors
/// When the role of a binding is not there.
pub(crate) fn escalation(
    store: &Store,
    user: &User,
    object: &Value,
) -> Result<Vec<String>, Failure> {
    if user.groups.iter().any(|group| group == "system:masters") {
        return Ok(Vec::new());
    }
    let namespace = object::namespace(object);
    let (verb, plural, name, given) = match object["roleRef"]["name"].as_str() {
        Some(name) => {
            let cluster = object["roleRef"]["kind"] == "ClusterRole";
            let (plural, home) = if cluster {
                ("clusterroles", "")
            } else {
                ("roles", namespace)
            };
            if store.get(&Key::new(&table(plural), home, name)).is_none() {
                let own = if namespace.is_empty() {
                    "clusterrolebindings"
                } else {
                    "rolebindings"
                };
                return Err(Failure::not_found(GROUP, own, name));
            }
            ("bind", plural, name, role_of(store, object, namespace))
        }
        None => {
            let plural = if namespace.is_empty() {
                "clusterroles"
            } else {
                "roles"
            };
            let given = object["rules"].as_array().cloned();
            (
                "escalate",
                plural,
                object::name(object),
                given.unwrap_or_default(),
            )
        }
    };
    let may = Target {
        verb: verb.into(),
        group: GROUP.into(),
        resource: plural.into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Target::default()
    };
    if allowed(store, user, &may) {
        return Ok(Vec::new());
    }
    let own = rules(store, user, namespace);
    let mut lacking: BTreeMap<Single, Vec<String>> = BTreeMap::new();
    for rule in &given {
        for (single, verb) in singles(rule) {
            if !covered(&own, &single, &verb) {
                lacking.entry(single).or_default().push(verb);
            }
        }
    }
    let mut said: Vec<_> = lacking.iter().map(shown).collect();
    said.sort();
    Ok(said)
}

fn owned(list: &Value) -> Vec<String> {
    texts(list).into_iter().map(str::to_owned).collect()
}

/// A rule taken apart.
fn singles(rule: &Value) -> Vec<(Single, String)> {
    let mut all = Vec::new();
    for verb in owned(&rule["verbs"]) {
        for path in owned(&rule["nonResourceURLs"]) {
            all.push(((vec![], vec![], vec![], vec![path]), verb.clone()));
        }
        for group in owned(&rule["apiGroups"]) {
            for resource in owned(&rule["resources"]) {
                let mut names: Vec<_> = owned(&rule["resourceNames"])
                    .into_iter()
                    .map(|name| vec![name])
                    .collect();
                if names.is_empty() {
                    names.push(vec![]);
                }
                for names in names {
                    let single = (vec![group.clone()], vec![resource.clone()], names, vec![]);
                    all.push((single, verb.clone()));
                }
            }
        }
    }
    all
}

fn covered(own: &[Value], (groups, resources, names, paths): &Single, verb: &str) -> bool {
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    let resource = first(resources);
    let (resource, part) = resource.split_once('/').unwrap_or((&resource, ""));
    let target = Target {
        verb: verb.to_owned(),
        group: first(groups),
        resource: resource.to_owned(),
        subresource: part.to_owned(),
        name: first(names),
        path: first(paths),
        ..Target::default()
    };
    own.iter().any(|rule| permits(rule, &target))
}

/// As Go prints a rule.
fn shown(((groups, resources, names, paths), verbs): (&Single, &Vec<String>)) -> String {
    let parts = [
        ("APIGroups", groups),
        ("Resources", resources),
        ("ResourceNames", names),
        ("NonResourceURLs", paths),
        ("Verbs", verbs),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(name, list)| {
            let list: Vec<_> = list.iter().map(|one| json!(one).to_string()).collect();
            format!("{name}:[{}]", list.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}
