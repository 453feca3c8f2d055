//! What making and changing an object have in common: whoever asks, and in whatever way.

mod change;

use std::sync::Arc;

use serde_json::Value;

use super::missing;
use crate::access::rbac;
use crate::api::call::Call;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::fields::managed;
use crate::kinds::{Custom, Kind, Origin};
use crate::schema::{default, empty, prune, validate};
use crate::store::{Key, Store};
use crate::{builtin, crd, metadata, object};
use change::{count_generation, keep_part, same_but_times, same_object};

/// Who is written down for the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Managed {
    /// Whoever changed them.
    Find,
    /// It is in the object already.
    Done,
}

/// Makes an object.
pub(super) fn make(
    call: &mut Call<'_>,
    kind: &Kind,
    store: &mut Store,
    mut object: Value,
    managed: Managed,
) -> Result<Arc<Value>, Failure> {
    in_its_namespace(call, kind, &mut object)?;
    generate_name(&mut object);
    let name = object::name(&object).to_owned();
    let namespace = object::namespace(&object).to_owned();
    if kind.namespaced && kind.plural != "namespaces" {
        lives(store, kind, &namespace, &name)?;
    }
    if !object::meta(&object, "resourceVersion").is_empty() {
        let said = "resourceVersion should not be set on objects to be created";
        return Err(Failure::new(500, "", said));
    }
    let generation = kind.generations().then(|| 1.into());
    for (member, value) in [
        ("uid", Some(uuid::Uuid::new_v4().to_string().into())),
        ("creationTimestamp", Some(object::now().into())),
        ("generation", generation),
        ("deletionTimestamp", None),
        ("deletionGracePeriodSeconds", None),
        ("selfLink", None),
    ] {
        object::set_meta(&mut object, member, value);
    }
    match &kind.origin {
        Origin::BuiltIn(_) => {
            builtin::default(kind, &mut object);
        }
        Origin::Custom(custom) => {
            if kind.status
                && let Some(members) = object.as_object_mut()
            {
                members.shift_remove("status");
            }
            default::default(&mut object, &custom.schema);
        }
    }
    if managed == Managed::Find {
        object::set_meta(&mut object, "managedFields", None);
        managed::update(call, kind, None, &mut object, "");
    }
    if kind.custom().is_none() {
        builtin::prepare(kind, &mut object);
    }
    let mut faults = Vec::new();
    if kind.custom().is_none() {
        faults.extend(builtin::check(kind, &object, None));
    }
    faults.extend(metadata::check(&object, kind.namespaced, kind.name_rule()));
    if let Origin::Custom(custom) = &kind.origin {
        check_custom(kind, custom, &object, None, &mut faults);
    }
    if !faults.is_empty() {
        let given = object["kind"].as_str().unwrap_or(&kind.kind);
        // Both groups of events are checked as one.
        let group = if given == "Event" { "" } else { &kind.group };
        return Err(Failure::invalid(group, given, &name, &faults));
    }
    not_more_than_own(call, kind, store, &object)?;
    let key = Key::new(&kind.table, &namespace, &name);
    if let Some(there) = store.get(&key) {
        let mut failure = Failure::already_exists(&kind.group, &kind.plural, &name);
        if object::is_going(there) {
            failure.message = format!("object is being deleted: {}", failure.message);
        }
        return Err(failure);
    }
    builtin::admit(kind, store, &object)?;
    keep(kind, &mut object);
    if call.dry_run() {
        return Ok(Arc::new(object));
    }
    builtin::allocate(kind, store, &mut object)?;
    let made = store.put(key.clone(), object);
    crd::changed(call.api, store, kind, &key);
    Ok(made)
}

/// Puts an object in the place of another.
pub(super) fn replace(
    call: &mut Call<'_>,
    kind: &Kind,
    store: &mut Store,
    old: &Arc<Value>,
    mut object: Value,
    managed: Managed,
) -> Result<Arc<Value>, Failure> {
    in_its_namespace(call, kind, &mut object)?;
    let part = call.target.subresource.as_str();
    let name = object::name(old).to_owned();
    same_object(call, kind, old, &mut object)?;
    let told_managers = object["metadata"].get("managedFields").cloned();
    keep_part(kind, part, old, &mut object);
    for member in ["uid", "creationTimestamp", "generation", "selfLink"] {
        let value = old["metadata"].get(member).cloned();
        if member != "uid" || object::uid(&object).is_empty() {
            object::set_meta(&mut object, member, value);
        }
    }
    if object::is_going(old) {
        for member in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
            let value = old["metadata"].get(member).cloned();
            object::set_meta(&mut object, member, value);
        }
    }
    match &kind.origin {
        Origin::BuiltIn(_) => {
            builtin::keep(kind, old, &mut object);
            builtin::default(kind, &mut object);
        }
        Origin::Custom(custom) => default::default(&mut object, &custom.schema),
    }
    count_generation(kind, part, old, &mut object);
    let cleared = told_managers
        .as_ref()
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty);
    match managed {
        Managed::Find => {
            let before = if cleared {
                None
            } else {
                old["metadata"].get("managedFields").cloned()
            };
            object::set_meta(&mut object, "managedFields", before);
            managed::update(call, kind, Some(old), &mut object, part);
        }
        Managed::Done => object::set_meta(&mut object, "managedFields", told_managers),
    }
    let mut faults = metadata::check_update(&object, old);
    match &kind.origin {
        Origin::BuiltIn(_) => faults.extend(builtin::check(kind, &object, Some(old))),
        Origin::Custom(custom) => check_custom(kind, custom, &object, Some(old), &mut faults),
    }
    if !faults.is_empty() {
        let given = object["kind"].as_str().unwrap_or(&kind.kind);
        // Both groups of events are checked as one.
        let group = if given == "Event" { "" } else { &kind.group };
        return Err(Failure::invalid(group, given, &name, &faults));
    }
    let given = |object: &Value| ["rules", "roleRef", "subjects"].map(|name| object[name].clone());
    if given(&object) != given(old) {
        not_more_than_own(call, kind, store, &object)?;
    }
    keep(kind, &mut object);
    if same_but_times(&object, old) {
        return Ok(old.clone());
    }
    if call.dry_run() {
        return Ok(Arc::new(object));
    }
    let key = Key::new(&kind.table, object::namespace(old), &name);
    let done = object::is_going(&object)
        && !object::has_finalizers(&object)
        && object["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            == 0
        && !super::delete::waits(kind, &object);
    let written = store.put(key.clone(), object);
    if done {
        // What waited for its finalizers goes with the last of them.
        return Ok(super::remove_now(call.api, store, &key).unwrap_or(written));
    }
    crd::changed(call.api, store, kind, &key);
    Ok(written)
}

/// What the definition of a kind has against an object.
fn check_custom(
    kind: &Kind,
    custom: &Custom,
    object: &Value,
    old: Option<&Value>,
    faults: &mut Vec<FieldError>,
) {
    let given = object["kind"].as_str().unwrap_or_default();
    if given == kind.kind {
        faults.extend(validate::validate(object, old, &custom.schema));
    } else {
        let said = format!("must be {}", kind.kind);
        faults.push(FieldError::invalid("kind", &given.into(), said));
    }
    faults.extend(validate::check_lists(object, &custom.schema, ""));
    let broken = custom.rules.check_after(object, old, faults);
    faults.extend(broken);
}

/// How an object is kept: customs in the version that is stored, events in the older group.
fn keep(kind: &Kind, object: &mut Value) {
    if kind.custom().is_none() {
        empty::drop(object, kind.schema());
    }
    match kind.custom() {
        Some(custom) => {
            object["apiVersion"] = format!("{}/{}", kind.group, custom.stored).into();
            let _ = prune::prune(object, &custom.stored_schema);
        }
        None if kind.plural == "events" => builtin::events::convert(object, ""),
        None => {}
    }
}

fn in_its_namespace(call: &Call<'_>, kind: &Kind, object: &mut Value) -> Result<(), Failure> {
    let wanted = if kind.namespaced {
        call.target.namespace.as_str()
    } else {
        ""
    };
    let given = object::namespace(object);
    if given.is_empty() && !wanted.is_empty() {
        object::set_meta(object, "namespace", Some(wanted.into()));
    } else if given != wanted {
        let said = if kind.namespaced {
            "the namespace of the provided object does not match the namespace sent on the request"
        } else {
            "namespace may not be specified on this resource"
        };
        if kind.namespaced {
            return Err(Failure::bad_request(said));
        }
        // Kinds without namespaces take no notice of one.
        object::set_meta(object, "namespace", None);
    }
    Ok(())
}

fn generate_name(object: &mut Value) {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let start = object::meta(object, "generateName");
    if start.is_empty() || !object::name(object).is_empty() {
        return;
    }
    let mut name: String = start.chars().take(58).collect();
    for _ in 0..5 {
        let letter = LETTERS[fastrand::usize(..LETTERS.len())];
        name.push(char::from(letter));
    }
    object::set_meta(object, "name", Some(name.into()));
}

fn lives(store: &Store, kind: &Kind, namespace: &str, name: &str) -> Result<(), Failure> {
    let key = Key::new(&"/namespaces".into(), "", namespace);
    let found = store
        .get(&key)
        .ok_or_else(|| Failure::not_found("", "namespaces", namespace))?;
    if object::is_going(found) {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let cause = crate::failure::Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        };
        return Err(
            Failure::forbidden(&kind.group, &kind.plural, name, &why).with_causes(vec![cause])
        );
    }
    Ok(())
}

/// Nobody gives others more than they have.
fn not_more_than_own(
    call: &Call<'_>,
    kind: &Kind,
    store: &Store,
    object: &Value,
) -> Result<(), Failure> {
    if kind.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let more = rbac::escalation(store, call.user, object)?;
    if more.is_empty() {
        return Ok(());
    }
    let groups: Vec<_> = call.user.groups.iter().map(|g| format!("{g:?}")).collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        call.user.name,
        groups.join(" "),
        more.join("\n")
    );
    let name = object::name(object);
    Err(Failure::forbidden(&kind.group, &kind.plural, name, &why))
}

/// The object that a request names.
pub(super) fn found(call: &Call<'_>, kind: &Kind, store: &Store) -> Result<Arc<Value>, Failure> {
    let key = super::key_of(call, kind);
    let found = store.get(&key).cloned();
    found.ok_or_else(|| missing(kind, &key.name))
}
