//! Definitions of custom kinds: from the day they are made to the day they are gone.

mod check;

use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use check::check;

use crate::api::Api;
use crate::failure::Failure;
use crate::kinds::{self, Kind};
use crate::object;
use crate::store::{Key, Store};

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

fn table() -> Arc<str> {
    format!("{GROUP}/{PLURAL}").into()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Fills in the names that were not given.
pub(crate) fn default(object: &mut Value) {
    let spec = &mut object["spec"];
    let kind = text(&spec["names"], "kind").to_owned();
    let names = object::member_mut(spec, "names");
    let missing = |value: Option<&Value>| value.is_none_or(|v| v.is_null() || v == "");
    if missing(names.get("singular")) {
        names.insert("singular".into(), kind.to_lowercase().into());
    }
    if missing(names.get("listKind")) && !kind.is_empty() {
        names.insert("listKind".into(), format!("{kind}List").into());
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
    let stored = spec["versions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|version| version["storage"] == true)
        .map(|version| version["name"].clone());
    let status = object::member_mut(object, "status");
    let versions = status.entry("storedVersions").or_insert_with(|| json!([]));
    if let (Some(stored), Some(versions)) = (stored, versions.as_array_mut())
        && !versions.contains(&stored)
    {
        versions.push(stored);
    }
    status
        .entry("acceptedNames")
        .or_insert_with(|| json!({"plural": "", "kind": ""}));
    status.entry("conditions").or_insert(Value::Null);
}

fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = definition["status"]["conditions"].as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

fn holds(definition: &Value, kind: &str) -> bool {
    condition(definition, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Whether its kind is served.
pub(crate) fn is_established(definition: &Value) -> bool {
    holds(definition, "Established")
}

/// Whether its objects are gone, so that it may go itself.
pub(crate) fn is_emptied(definition: &Value) -> bool {
    condition(definition, "Terminating")
        .is_some_and(|condition| condition["reason"] == "InstanceDeletionCompleted")
}

fn set_condition(definition: &mut Value, kind: &str, holds: bool, reason: &str, said: &str) {
    let status = if holds { "True" } else { "False" };
    let before = condition(definition, kind).cloned();
    let time = match &before {
        Some(before) if before["status"] == status => before["lastTransitionTime"].clone(),
        _ => object::now().into(),
    };
    let new = json!({
        "type": kind, "status": status, "lastTransitionTime": time, "reason": reason,
        "message": said,
    });
    let members = object::member_mut(definition, "status");
    let conditions = members.entry("conditions").or_insert(Value::Null);
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    if let Some(conditions) = conditions.as_array_mut() {
        match conditions.iter_mut().find(|one| one["type"] == kind) {
            Some(old) => *old = new,
            None => conditions.push(new),
        }
    }
}

/// What a definition says of itself as soon as it is to go.
pub(crate) fn going(kind: &Kind, definition: &mut Value) {
    if kind.is(GROUP, PLURAL) {
        let said = "CustomResourceDefinition marked for deletion; CustomResource deletion will \
                    begin soon";
        set_condition(
            definition,
            "Terminating",
            true,
            "InstanceDeletionPending",
            said,
        );
    }
}

/// What follows from a change of an object, if it is a definition.
pub(crate) fn changed(api: &Arc<Api>, store: &mut Store, kind: &Kind, key: &Key) {
    if !kind.is(GROUP, PLURAL) {
        return;
    }
    let Some(definition) = store.get(key).cloned() else {
        return;
    };
    if object::is_going(&definition) {
        end(api, store, key, &definition);
        return;
    }
    accept_names(store, key, &definition);
    let definition = store.get(key).cloned().unwrap_or(definition);
    if is_established(&definition) {
        serve(api, &definition);
    } else if holds(&definition, "NamesAccepted") {
        establish_later(api, key);
    }
}

/// Nobody else in the group may be called the same.
fn accept_names(store: &mut Store, key: &Key, definition: &Arc<Value>) {
    let spec = &definition["spec"];
    let clash = |name: &str| {
        let wanted = &spec["names"][name];
        store.list(&table(), None).any(|(other, object)| {
            other != key
                && object["spec"]["group"] == spec["group"]
                && object["status"]["acceptedNames"][name] == *wanted
        })
    };
    let clashing = ["plural", "singular", "kind", "listKind"]
        .into_iter()
        .find(|name| clash(name));
    let mut new = (**definition).clone();
    match clashing {
        Some(name) => {
            let reason = format!("{}{}Conflict", name[..1].to_uppercase(), &name[1..]);
            let said = format!("{:?} is already in use", text(&spec["names"], name));
            set_condition(&mut new, "NamesAccepted", false, &reason, &said);
            if condition(&new, "Established").is_none() {
                let said = "not all names are accepted";
                set_condition(&mut new, "Established", false, "NotAccepted", said);
            }
        }
        None => {
            new["status"]["acceptedNames"] = spec["names"].clone();
            let said = "no conflicts found";
            set_condition(&mut new, "NamesAccepted", true, "NoConflicts", said);
            if condition(&new, "Established").is_none() {
                let said = "the initial names have been accepted";
                set_condition(&mut new, "Established", false, "Installing", said);
            }
        }
    }
    if new != **definition {
        store.put(key.clone(), new);
    }
}

fn establish_later(api: &Arc<Api>, key: &Key) {
    let (this, key) = (Arc::downgrade(api), key.clone());
    let delay = api.options.establish_after;
    api.spawn(async move {
        tokio::time::sleep(delay).await;
        if let Some(api) = this.upgrade() {
            let mut store = api.store();
            establish(&api, &mut store, &key);
        }
    });
}

/// Serves the kind from now on.
pub(crate) fn establish(api: &Arc<Api>, store: &mut Store, key: &Key) {
    let Some(definition) = store.get(key).cloned() else {
        return;
    };
    let ready = holds(&definition, "NamesAccepted") && !object::is_going(&definition);
    if !ready || is_established(&definition) {
        return;
    }
    let mut new = (*definition).clone();
    let said = "the initial names have been accepted";
    set_condition(&mut new, "Established", true, "InitialNamesAccepted", said);
    let new = store.put(key.clone(), new);
    serve(api, &new);
}

fn serve(api: &Api, definition: &Value) {
    let spec = &definition["spec"];
    let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
    api.set_kinds(|kinds| {
        kinds.remove(group, plural);
        for kind in kinds::of_definition(definition) {
            kinds.add(kind);
        }
    });
}

/// Takes the objects of a definition away, and then the definition.
fn end(api: &Arc<Api>, store: &mut Store, key: &Key, definition: &Value) {
    let spec = &definition["spec"];
    let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
    let objects: Arc<str> = format!("{group}/{plural}").into();
    let begun = condition(definition, "Terminating")
        .is_some_and(|condition| condition["reason"] == "InstanceDeletionInProgress");
    if !begun {
        let mut new = definition.clone();
        let said = "CustomResource deletion is in progress";
        set_condition(
            &mut new,
            "Terminating",
            true,
            "InstanceDeletionInProgress",
            said,
        );
        store.put(key.clone(), new);
    }
    let all: Vec<_> = store
        .list(&objects, None)
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect();
    for (own, object) in all {
        if !object::has_finalizers(&object) {
            store.remove(&own);
        } else if !object::is_going(&object) {
            let mut going = (*object).clone();
            object::set_meta(&mut going, "deletionTimestamp", Some(object::now().into()));
            object::set_meta(&mut going, "deletionGracePeriodSeconds", Some(0.into()));
            store.put(own, going);
        }
    }
    finish(api, store, key);
}

/// Ends a definition that is to go, once nothing is left of it.
fn finish(api: &Api, store: &mut Store, key: &Key) {
    let Some(definition) = store.get(key).cloned() else {
        return;
    };
    let spec = &definition["spec"];
    let (group, plural) = (text(spec, "group"), text(&spec["names"], "plural"));
    let objects: Arc<str> = format!("{group}/{plural}").into();
    let left = store.list(&objects, None).next().is_some();
    if left || !object::is_going(&definition) || object::has_finalizers(&definition) {
        return;
    }
    let mut new = (*definition).clone();
    let said = "removed all instances";
    set_condition(
        &mut new,
        "Terminating",
        false,
        "InstanceDeletionCompleted",
        said,
    );
    store.put(key.clone(), new);
    api.set_kinds(|kinds| kinds.remove(group, plural));
    store.remove(key);
}

/// What follows from the end of an object: perhaps its definition waited for it.
pub(crate) fn removed(api: &Arc<Api>, store: &mut Store, key: &Key) {
    if *key.table == *table() {
        let (plural, group) = key.name.split_once('.').unwrap_or((&key.name, ""));
        api.set_kinds(|kinds| kinds.remove(group, plural));
        return;
    }
    if let Some((group, plural)) = key.table.split_once('/') {
        let definition = Key::new(&table(), "", &format!("{plural}.{group}"));
        finish(api, store, &definition);
    }
}

/// Nothing is made of a kind that is on its way out.
pub(crate) fn refuse_while_going(store: &Store, kind: &Kind, verb: &str) -> Result<(), Failure> {
    let Some(custom) = kind.custom() else {
        return Ok(());
    };
    let key = Key::new(&table(), "", &custom.definition);
    let going = store
        .get(&key)
        .is_some_and(|definition| holds(definition, "Terminating"));
    if !going {
        return Ok(());
    }
    let mut failure = Failure::not_allowed(&kind.group, &kind.plural, verb);
    failure.message = format!("{verb} not allowed while custom resource definition is terminating");
    Err(failure)
}
