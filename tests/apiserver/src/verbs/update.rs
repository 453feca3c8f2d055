//! Putting an object in the place of another.

use super::write::{Managed, make, replace};
use super::{body, key_of, missing};
use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object;
use crate::wire::reply::Reply;

/// Answers a request to replace an object.
pub(super) fn update(call: &mut Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    call.check_options("UpdateOptions")?;
    let mut object = body::read(call, kind)?;
    let wanted = call.target.name.as_str();
    let given = object::name(&object);
    if given.is_empty() {
        let generate = object::meta(&object, "generateName");
        if kind.built_in().is_none() || !generate.is_empty() {
            return Err(no_name(wanted));
        }
        object::set_meta(&mut object, "name", Some(wanted.into()));
    } else if given != wanted {
        return Err(other_name(given, wanted));
    }
    let api = call.api.clone();
    let mut store = api.store();
    let Some(old) = store.get(&key_of(call, kind)).cloned() else {
        let may_make = kind
            .built_in()
            .is_some_and(|built_in| built_in.create_on_update)
            && call.target.subresource.is_empty();
        if !may_make {
            return Err(missing(kind, wanted));
        }
        if !object::uid(&object).is_empty() || !object::meta(&object, "resourceVersion").is_empty()
        {
            return Err(if object::uid(&object).is_empty() {
                missing(kind, wanted)
            } else {
                Failure::stale(&kind.group, &kind.plural, wanted)
            });
        }
        let made = make(call, kind, &mut store, object, Managed::Find)?;
        drop(store);
        return call.reply(201, kind, &made);
    };
    let written = replace(call, kind, &mut store, &old, object, Managed::Find)?;
    drop(store);
    call.reply(200, kind, &written)
}

/// An object that does not say its name.
pub(crate) fn no_name(wanted: &str) -> Failure {
    Failure::bad_request(format!(
        "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
    ))
}

/// An object that is not called as the path says.
pub(super) fn other_name(given: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({wanted})"
    ))
}
