//! Changing an object by saying what is to be different.

use std::sync::Arc;

use serde_json::Value;

use super::update::other_name;
use super::write::{Managed, found, make, replace};
use super::{body, key_of};
use crate::api::call::{Call, FieldValidation};
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::patch::{apply, json, merge, strategic};
use crate::schema::read::{self, Document};
use crate::wire::reply::Reply;
use crate::{crd, object, view};

const CUSTOM: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];
const BUILT_IN: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Answers a request to change an object.
pub(super) fn patch(call: &mut Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    let media_type = call.media_type().to_owned();
    let known = if kind.custom().is_some() {
        &CUSTOM[..]
    } else {
        &BUILT_IN[..]
    };
    if !known.contains(&media_type.as_str()) {
        return Err(Failure::unsupported_media_type(known));
    }
    call.check_options("PatchOptions")?;
    let api = call.api.clone();
    let mut store = api.store();
    if media_type == "application/apply-patch+yaml" {
        let old = store.get(&key_of(call, kind)).cloned();
        let (status, written) = apply_patch(call, kind, &mut store, old)?;
        drop(store);
        return call.reply(status, kind, &written);
    }
    let old = found(call, kind, &store)?;
    let shown = view::of(kind, &old);
    let (patched, twice) = patched(call, kind, &media_type, &shown)?;
    let object = decoded(call, kind, patched, twice)?;
    let given = object::name(&object);
    if given != call.target.name {
        return Err(other_name(given, &call.target.name));
    }
    let written = replace(call, kind, &mut store, &old, object, Managed::Find)?;
    drop(store);
    call.reply(200, kind, &written)
}

/// The object as the patch would have it, and what the patch says twice.
fn patched(
    call: &Call<'_>,
    kind: &Kind,
    media_type: &str,
    shown: &Value,
) -> Result<(Value, Vec<String>), Failure> {
    let Document { value, twice } = read::json(&call.body)
        .map_err(|why| Failure::bad_request(format!("error decoding patch: {why}")))?;
    let patched = match media_type {
        "application/json-patch+json" => json::apply(shown, &value)?,
        "application/strategic-merge-patch+json" => strategic::apply(shown, &value, kind.schema())
            .map_err(|why| {
                if why.starts_with("unknown patch type") {
                    Failure::new(500, "", why)
                } else {
                    Failure::bad_request(why)
                }
            })?,
        _ => {
            if !value.is_object() {
                let is = if value.is_array() { "array" } else { "value" };
                return Err(Failure::bad_request(format!(
                    "error decoding patch: json: cannot unmarshal {is} into Go value of type \
                     map[string]interface {{}}"
                )));
            }
            let mut object = shown.clone();
            merge::apply(&mut object, &value);
            object
        }
    };
    Ok((patched, twice))
}

/// What a patch made is an object of the kind, or the patch was wrong.
fn decoded(
    call: &mut Call<'_>,
    kind: &Kind,
    patched: Value,
    twice: Vec<String>,
) -> Result<Value, Failure> {
    let text = patched.to_string();
    let document = Document {
        value: patched,
        twice,
    };
    let strict = call.field_validation() == FieldValidation::Strict;
    body::object(call, kind, document).map_err(|failure| {
        let said = failure
            .message
            .split_once("cannot be handled as")
            .and_then(|(_, rest)| rest.split_once(": "))
            .map_or(failure.message.as_str(), |(_, said)| said);
        let fault = FieldError::invalid("patch", &text.into(), said);
        if strict || failure.message.contains("cannot be handled as") {
            Failure::invalid("", "", "", &[fault])
        } else {
            failure
        }
    })
}

fn apply_patch(
    call: &mut Call<'_>,
    kind: &Kind,
    store: &mut crate::store::Store,
    old: Option<Arc<Value>>,
) -> Result<(u16, Arc<Value>), Failure> {
    let Document { value, twice } = read::yaml(&call.body)
        .map_err(|why| Failure::bad_request(format!("error decoding YAML: {why}")))?;
    if old.is_none() && !call.target.subresource.is_empty() {
        return Err(super::missing(kind, &call.target.name));
    }
    let shown = old.as_ref().map(|old| view::of(kind, old));
    let object = apply::apply(call, kind, shown.as_ref(), value)?;
    if !twice.is_empty() {
        let said: Vec<_> = twice
            .iter()
            .map(|path| format!("key {path:?} already set in map"))
            .collect();
        let said = format!(
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  \
             {}",
            said.join("\n  ")
        );
        match call.field_validation() {
            FieldValidation::Strict => return Err(Failure::bad_request(said)),
            FieldValidation::Warn => call.warnings.push(said.replace('\n', " ")),
            FieldValidation::Ignore => {}
        }
    }
    let given = object::name(&object);
    if given != call.target.name {
        return Err(other_name(given, &call.target.name));
    }
    match old {
        Some(old) => {
            let written = replace(call, kind, store, &old, object, Managed::Done)?;
            Ok((200, written))
        }
        None => {
            crd::refuse_while_going(store, kind, "create")?;
            let uid = object::uid(&object);
            if !uid.is_empty() {
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing \
                     object was found"
                );
                let name = &call.target.name;
                return Err(Failure::conflict(&kind.group, &kind.plural, name, &why));
            }
            let made = make(call, kind, store, object, Managed::Done)?;
            Ok((201, made))
        }
    }
}
