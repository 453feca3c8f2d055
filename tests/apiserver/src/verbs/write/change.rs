//! What an object that takes the place of another has in common with it.

use serde_json::Value;

use crate::api::call::Call;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::object;

/// Whether two differ in nothing but the times at which their fields were written.
pub(super) fn same_but_times(object: &Value, old: &Value) -> bool {
    let plain = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if let Some(members) = entry.as_object_mut() {
                members.shift_remove("time");
            }
        }
        object
    };
    plain(object) == plain(old)
}

/// Checks that it is the object that it says it is, in the state that it was read in.
pub(super) fn same_object(
    call: &Call<'_>,
    kind: &Kind,
    old: &Value,
    object: &mut Value,
) -> Result<(), Failure> {
    let name = object::name(old);
    let given = object::uid(object);
    if call.target.verb == "update" && !given.is_empty() && given != object::uid(old) {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry{}/{}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object \
             meta: {}",
            if kind.group.is_empty() { "" } else { "/" }.to_owned() + &kind.table,
            [object::namespace(old), name]
                .join("/")
                .trim_start_matches('/'),
            object::uid(old)
        );
        return Err(Failure::conflict(&kind.group, &kind.plural, name, &why));
    }
    let given = object::meta(object, "resourceVersion").to_owned();
    if !given.is_empty() && given.parse::<u64>().is_err() {
        let said = format!("strconv.ParseUint: parsing {given:?}: invalid syntax");
        return Err(Failure::new(500, "", said));
    }
    let revision = object::meta(old, "resourceVersion");
    let unconditional = kind
        .built_in()
        .is_some_and(|built_in| built_in.unconditional);
    match given.as_str() {
        "" | "0" if unconditional => {
            object::set_meta(object, "resourceVersion", Some(revision.into()));
            Ok(())
        }
        "" | "0" => {
            let field = "metadata.resourceVersion";
            let fault = FieldError::invalid(field, &0.into(), "must be specified for an update");
            Err(Failure::invalid(&kind.group, &kind.plural, name, &[fault]))
        }
        given if given == revision => Ok(()),
        _ => Err(Failure::stale(&kind.group, &kind.plural, name)),
    }
}

/// Who writes the status writes nothing else, and the other way round.
pub(super) fn keep_part(kind: &Kind, part: &str, old: &Value, object: &mut Value) {
    match part {
        "status" => {
            let status = object.get("status").cloned();
            let pod = kind.is("", "pods");
            let labels = pod.then(|| object["metadata"].get("labels").cloned());
            let revision = object["metadata"]["resourceVersion"].clone();
            let uid = object["metadata"].get("uid").cloned();
            *object = old.clone();
            object::set_meta(object, "resourceVersion", Some(revision));
            object::set_meta(object, "uid", uid);
            if let Some(labels) = labels {
                // Who writes the status of a pod may label it, too.
                object::set_meta(object, "labels", labels);
            }
            if let Some(members) = object.as_object_mut() {
                match status {
                    Some(status) => members.insert("status".into(), status),
                    None => members.shift_remove("status"),
                };
            }
        }
        "finalize" => {
            let finalizers = object["spec"]["finalizers"].clone();
            *object = old.clone();
            object["spec"]["finalizers"] = finalizers;
        }
        _ if kind.status => object::copy_member(object, old, "status"),
        _ => {}
    }
}

/// Counts a change of what is wanted.
pub(super) fn count_generation(kind: &Kind, part: &str, old: &Value, object: &mut Value) {
    if !kind.generations() || part == "status" {
        return;
    }
    let wanted = |object: &Value| {
        let mut object = object.clone();
        if let Some(members) = object.as_object_mut() {
            members.shift_remove("metadata");
            if kind.status {
                members.shift_remove("status");
            }
        }
        object
    };
    if wanted(old) != wanted(object) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
        object::set_meta(object, "generation", Some(generation.into()));
    }
}
