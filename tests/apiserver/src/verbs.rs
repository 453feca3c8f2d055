//! What can be done with the objects of a kind: one module for each way.

mod body;
mod create;
mod delete;
pub(crate) mod list;
mod patch;
mod update;
pub(crate) mod watch;
mod write;

pub(crate) use delete::remove_now;
pub(crate) use update::no_name;

use std::sync::Arc;

use crate::access::reviews;
use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::store::Key;
use crate::wire::reply::Reply;

/// Answers a request for a resource that is served.
pub(crate) fn answer(call: &mut Call<'_>, kind: &Arc<Kind>) -> Result<Reply, Failure> {
    let target = call.target;
    let part = target.subresource.as_str();
    let whole_cluster = kind.namespaced && target.namespace.is_empty();
    if !kind.namespaced && !target.namespace.is_empty() && kind.plural != "namespaces" {
        return Err(nothing(kind));
    }
    match part {
        "" => {}
        "status" if kind.status => {}
        "token" if kind.is("", "serviceaccounts") && target.verb == "create" => {
            return reviews::token(call);
        }
        "finalize" if kind.is("", "namespaces") && target.verb == "update" => {
            return update::update(call, kind);
        }
        "token" if kind.is("", "serviceaccounts") => return Err(Failure::method_not_allowed()),
        _ if kind.custom().is_some() => return Err(missing(kind, &target.name)),
        _ => return Err(Failure::nothing_there()),
    }
    if kind.is_review() {
        return match (target.verb.as_str(), target.name.is_empty()) {
            ("create", true) => reviews::answer(call, kind),
            _ => Err(Failure::method_not_allowed()),
        };
    }
    if whole_cluster && !matches!(target.verb.as_str(), "list" | "watch") {
        // A list over all namespaces is all that can be had without naming one.
        return Err(match target.verb.as_str() {
            "create" | "deletecollection" if kind.custom().is_none() => {
                Failure::method_not_allowed()
            }
            _ => nothing(kind),
        });
    }
    match (target.verb.as_str(), part) {
        ("get", _) => get(call, kind),
        ("list", "") => list::list(call, kind),
        ("watch", "") => watch::watch(call, kind),
        // With a custom kind the real server does not mind a name in the path.
        ("create", "") if target.name.is_empty() || kind.custom().is_some() => {
            create::create(call, kind)
        }
        ("update", _) if !target.name.is_empty() => update::update(call, kind),
        ("patch", _) if !target.name.is_empty() => patch::patch(call, kind),
        ("delete", "") => delete::delete(call, kind),
        ("deletecollection", "") if kind.verbs().contains(&"deletecollection") => {
            delete::delete_collection(call, kind)
        }
        (verb, _) if kind.custom().is_some() => {
            Err(Failure::not_allowed(&kind.group, &kind.plural, verb))
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

/// A path that cannot lead to objects of a kind.
fn nothing(kind: &Kind) -> Failure {
    if kind.custom().is_some() {
        Failure::no_page()
    } else {
        Failure::nothing_there()
    }
}

fn get(call: &Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    let key = key_of(call, kind);
    let wanted = list::revision(call)?;
    let store = call.api.store();
    if let Some(wanted) = wanted.filter(|revision| *revision > store.revision()) {
        return Err(Failure::too_large_revision(wanted, store.revision()));
    }
    let found = store.get(&key).cloned();
    drop(store);
    let found = found.ok_or_else(|| missing(kind, &key.name))?;
    call.reply(200, kind, &found)
}

/// Where the object of a request is kept.
fn key_of(call: &Call<'_>, kind: &Kind) -> Key {
    let namespace = if kind.namespaced {
        call.target.namespace.as_str()
    } else {
        ""
    };
    Key::new(&kind.table, namespace, &call.target.name)
}

fn missing(kind: &Kind, name: &str) -> Failure {
    Failure::not_found(&kind.group, &kind.plural, name)
}
