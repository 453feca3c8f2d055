//! Lists: whole, in chunks that fit together, of now or of a revision that was.

use std::sync::Arc;

use base64::Engine;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::builtin::events;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::schema::read;
use crate::selector::Selector;
use crate::store::{Key, Store};
use crate::wire::accept::{Accept, Shape};
use crate::wire::reply::{Content, Reply};
use crate::{shape, view};

/// The revision that a list, or a watch, must have reached; `None` if any will do.
pub(crate) fn awaited(call: &Call<'_>) -> Option<u64> {
    let verb = call.target.verb.as_str();
    let given = call.query.get("resourceVersion").parse().ok()?;
    let wanted = verb == "list" || verb == "get" || call.query.is_on("sendInitialEvents");
    (wanted && given > 0).then_some(given)
}

/// Reads a revision of a query.
pub(super) fn revision(call: &Call<'_>) -> Result<Option<u64>, Failure> {
    let given = call.query.get("resourceVersion");
    if given.is_empty() {
        return Ok(None);
    }
    given.parse().map(Some).map_err(|_| {
        let why = format!(
            "resourceVersion: Invalid value: {given:?}: strconv.ParseUint: parsing {given:?}: \
             invalid syntax"
        );
        if call.target.verb != "list" {
            Failure::new(500, "", why)
        } else {
            Failure::bad_request(format!("invalid resource version: {why}"))
        }
    })
}

/// Reads a number of a query.
pub(super) fn number(call: &Call<'_>, name: &str) -> Result<Option<i64>, Failure> {
    match call.query.get(name) {
        "" => Ok(None),
        given => given.parse().map(Some).map_err(|_| {
            Failure::bad_request(format!(
                "strconv.ParseInt: parsing {given:?}: invalid syntax"
            ))
        }),
    }
}

/// What the objects of the answer have in common.
pub(super) fn selector(call: &Call<'_>, kind: &Kind) -> Result<Selector, Failure> {
    let own = kind
        .built_in()
        .is_none_or(|built_in| !built_in.fields.is_empty());
    Selector::parse(
        call.query.get("labelSelector"),
        call.query.get("fieldSelector"),
        &kind.fields(),
        own,
    )
    .map(|selector| {
        if kind.group == "events.k8s.io" {
            selector.renamed(events::core_name)
        } else {
            selector
        }
    })
}

/// The namespace that was asked for.
pub(super) fn namespace<'a>(call: &Call<'a>, kind: &Kind) -> Option<&'a str> {
    (kind.namespaced && !call.target.namespace.is_empty()).then_some(call.target.namespace.as_str())
}

fn check(call: &Call<'_>) -> Result<(), Failure> {
    let mut faults = Vec::new();
    let matching = call.query.get("resourceVersionMatch");
    let field = "resourceVersionMatch";
    if !matching.is_empty() {
        let given = call.query.get("resourceVersion");
        if given.is_empty() {
            let said = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            faults.push(FieldError::forbidden(field, said));
        }
        if !call.query.get("continue").is_empty() {
            let said = "resourceVersionMatch is forbidden when continue is provided";
            faults.push(FieldError::forbidden(field, said));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            let known = ["Exact", "NotOlderThan", ""];
            faults.push(FieldError::unsupported(field, &matching.into(), &known));
        }
        if matching == "Exact" && given == "0" {
            let said = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            faults.push(FieldError::forbidden(field, said));
        }
    }
    if call.query.has("sendInitialEvents") {
        let said = "sendInitialEvents is forbidden for list";
        faults.push(FieldError::forbidden("sendInitialEvents", said));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &faults))
    }
}

/// Where a list goes on.
struct Continue {
    revision: u64,
    /// The last object that was told already.
    after: (String, String),
}

impl Continue {
    fn read(text: &str) -> Result<Self, Failure> {
        let because = |why: &str| {
            Failure::bad_request(format!(
                "invalid continue token: continue key is not valid: {why}"
            ))
        };
        let broken = || because("incorrect encoded start key (v1)");
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let bytes = engine
            .decode(text)
            .map_err(|_| because("illegal base64 data"))?;
        let value = read::json(&bytes).map_err(|why| because(&why))?.value;
        let part = |index: usize| Some(value["start"][index].as_str()?.to_owned());
        Ok(Self {
            revision: value["rv"].as_u64().ok_or_else(broken)?,
            after: part(0).zip(part(1)).ok_or_else(broken)?,
        })
    }

    fn write(&self) -> String {
        let (namespace, name) = &self.after;
        let value = json!({
            "v": "meta.k8s.io/v1", "rv": self.revision, "start": [namespace, name],
        });
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    }
}

/// Answers a list.
pub(super) fn list(call: &Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    check(call)?;
    let accept = Accept::parse(call.accept, true)?;
    let selector = selector(call, kind)?;
    let wanted = revision(call)?;
    number(call, "timeoutSeconds")?;
    let limit = number(call, "limit")?.unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(0);
    let token = call.query.get("continue");
    let token = match token {
        "" => None,
        text => Some(Continue::read(text)?),
    };
    if token.is_some() && wanted.is_some_and(|revision| revision > 0) {
        let said = "specifying resource version is not allowed when using continue";
        return Err(Failure::bad_request(said));
    }
    let store = call.api.store();
    let (at, all) = snapshot(call, kind, &store, token.as_ref(), wanted, limit)?;
    drop(store);
    let mut chosen: Vec<_> = all
        .into_iter()
        .filter(|(key, _)| {
            let told = token.as_ref().map(|token| &token.after);
            told.is_none_or(|(namespace, name)| (&key.namespace, &key.name) > (namespace, name))
        })
        .filter(|(_, object)| selector.matches(object))
        .collect();
    let mut meta = json!({"resourceVersion": at.to_string()});
    if kind.custom().is_some() && accept.shape == Shape::Whole {
        meta["continue"] = "".into();
    }
    if limit > 0 && chosen.len() > limit {
        let left = chosen.len() - limit;
        chosen.truncate(limit);
        if let Some((last, _)) = chosen.last() {
            let next = Continue {
                revision: at,
                after: (last.namespace.clone(), last.name.clone()),
            };
            meta["continue"] = next.write().into();
        }
        // With a selector the real server does not count what is left.
        if call.query.get("labelSelector").is_empty() && call.query.get("fieldSelector").is_empty()
        {
            meta["remainingItemCount"] = left.into();
        }
    }
    let objects = chosen.iter().map(|(_, object)| view::of(kind, object));
    shape::check(call, accept.shape)?;
    let objects: Vec<_> = objects.collect();
    let mut list = shape::many(accept.shape, kind, meta, objects.clone());
    shape::include(call, accept.shape, &mut list, &objects);
    let mut reply = Reply::new(200, Content::Object(list));
    reply.format = accept.format;
    Ok(reply)
}

type Objects = Vec<(Key, Arc<Value>)>;

fn snapshot(
    call: &Call<'_>,
    kind: &Kind,
    store: &Store,
    token: Option<&Continue>,
    wanted: Option<u64>,
    limit: usize,
) -> Result<(u64, Objects), Failure> {
    let namespace = namespace(call, kind);
    let now = store.revision();
    let matching = call.query.get("resourceVersionMatch");
    // With a limit, a revision without a word about it is taken exactly.
    let exact = matching == "Exact" || (matching.is_empty() && limit > 0 && wanted > Some(0));
    let at = match (token, wanted) {
        (Some(token), _) => token.revision,
        (None, Some(revision)) if exact => revision,
        _ => now,
    };
    if at > now || wanted.is_some_and(|revision| revision > now) {
        return Err(Failure::too_large_revision(wanted.unwrap_or(at), now));
    }
    let found = if at == now {
        Ok(store
            .list(&kind.table, namespace)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect())
    } else {
        store.list_at(&kind.table, namespace, at)
    };
    let found = found.map_err(|_| {
        if token.is_some() {
            return Failure::expired(
                "The provided continue parameter is too old to display a consistent list result. \
                 You can start a new list without the continue parameter, or use the continue \
                 token in this response to retrieve the remainder of the results. Continuing with \
                 the provided token results in an inconsistent list - objects that were created, \
                 modified, or deleted between the time the first chunk was returned and now may \
                 show up in the list.",
            );
        }
        Failure::expired("The resourceVersion for the provided list is too old.")
    })?;
    Ok((at, found))
}
