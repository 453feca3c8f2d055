//! Taking objects away: at once, with grace, or when their finalizers are done.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{key_of, list, missing};
use crate::api::Api;
use crate::api::call::Call;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::schema::read;
use crate::store::{Key, Store};
use crate::wire::reply::{Content, Reply};
use crate::{crd, object, shape, view};

/// How an object is to go.
#[derive(Debug, Default)]
struct Options {
    grace: Option<i64>,
    uid: Option<String>,
    revision: Option<String>,
    dry_run: bool,
}

impl Options {
    fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let body = if call.body.is_empty() {
            Value::Null
        } else {
            let read = if call.media_type() == "application/yaml" {
                read::yaml(&call.body)
            } else {
                read::json(&call.body)
            };
            read.map_err(|why| {
                Failure::bad_request(format!(
                    "couldn't get version/kind; json parse error: {why}"
                ))
            })?
            .value
        };
        let given = body["kind"].as_str().unwrap_or("DeleteOptions");
        if given != "DeleteOptions" {
            return Err(Failure::bad_request(format!(
                "no kind {given:?} is registered for version {:?} in scheme \
                 \"pkg/apis/meta/internalversion/scheme/register.go:27\"",
                body["apiVersion"].as_str().unwrap_or_default()
            )));
        }
        list::number(call, "gracePeriodSeconds")?;
        let query = |name: &str| call.query.get(name);
        let policy = match body["propagationPolicy"].as_str() {
            Some(policy) => policy,
            None => query("propagationPolicy"),
        };
        let mut faults = Vec::new();
        if !matches!(policy, "" | "Foreground" | "Background" | "Orphan") {
            let known = ["Foreground", "Background", "Orphan", "nil"];
            faults.push(FieldError::unsupported(
                "propagationPolicy",
                &policy.into(),
                &known,
            ));
        }
        if !policy.is_empty()
            && (!body["orphanDependents"].is_null() || call.query.has("orphanDependents"))
        {
            let said = "orphanDependents and deletionPropagation cannot be both set";
            faults.push(FieldError::invalid(
                "propagationPolicy",
                &policy.into(),
                said,
            ));
        }
        let dry_run: Vec<_> = match body["dryRun"].as_array() {
            Some(list) => list.iter().filter_map(Value::as_str).collect(),
            None => call.query.all("dryRun").collect(),
        };
        if dry_run.iter().any(|given| *given != "All") {
            faults.push(FieldError::unsupported("dryRun", &json!(dry_run), &["All"]));
        }
        if !faults.is_empty() {
            return Err(Failure::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                &faults,
            ));
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let grace = body["gracePeriodSeconds"].as_i64();
        Ok(Self {
            grace: grace
                .or_else(|| query("gracePeriodSeconds").parse().ok())
                .map(|grace| if grace < 0 { 1 } else { grace }),
            uid: text(&body["preconditions"]["uid"]),
            revision: text(&body["preconditions"]["resourceVersion"]),
            dry_run: !dry_run.is_empty(),
        })
    }

    fn check(&self, kind: &Kind, object: &Value) -> Result<(), Failure> {
        let conflict = |why: &str| {
            Err(Failure::conflict(
                &kind.group,
                &kind.kind,
                object::name(object),
                why,
            ))
        };
        if let Some(uid) = &self.uid
            && uid != object::uid(object)
        {
            return conflict(&format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The \
                 object might have been deleted and then recreated",
                object::uid(object)
            ));
        }
        if let Some(revision) = &self.revision
            && revision != object::meta(object, "resourceVersion")
        {
            return conflict(&format!(
                "the ResourceVersion in the precondition ({revision}) does not match the \
                 ResourceVersion in record ({}). The object might have been modified",
                object::meta(object, "resourceVersion")
            ));
        }
        Ok(())
    }
}

/// What has become of an object.
enum Fate {
    Gone(Arc<Value>),
    Going(Arc<Value>),
}

/// Answers a request to take an object away.
pub(super) fn delete(call: &Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    let options = Options::read(call)?;
    let mut store = call.api.store();
    let key = key_of(call, kind);
    let object = store.get(&key).cloned();
    let object = object.ok_or_else(|| missing(kind, &key.name))?;
    options.check(kind, &object)?;
    let fate = end(call.api, &mut store, kind, &key, &object, &options)?;
    drop(store);
    let returns_object = kind
        .built_in()
        .is_some_and(|built_in| built_in.returns_deleted);
    match fate {
        Fate::Going(object) => call.reply(200, kind, &object),
        Fate::Gone(object) if returns_object => call.reply(200, kind, &object),
        Fate::Gone(object) => {
            let mut details =
                json!({"name": key.name, "kind": kind.plural, "uid": object::uid(&object)});
            if !kind.group.is_empty() {
                details["group"] = kind.group.as_str().into();
            }
            Ok(Reply::ok(json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": details,
            })))
        }
    }
}

/// Answers a request to take many objects away.
pub(super) fn delete_collection(call: &Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    let options = Options::read(call)?;
    let selector = list::selector(call, kind)?;
    let mut store = call.api.store();
    let chosen: Vec<_> = store
        .list(&kind.table, list::namespace(call, kind))
        .filter(|(_, object)| selector.matches(object))
        .map(|(key, object)| (key.clone(), object.clone()))
        .collect();
    let mut objects = Vec::new();
    for (key, object) in chosen {
        let fate = end(call.api, &mut store, kind, &key, &object, &options)?;
        let (Fate::Gone(object) | Fate::Going(object)) = fate;
        objects.push(view::of(kind, &object));
    }
    let meta = json!({"resourceVersion": store.revision().to_string()});
    drop(store);
    let list = shape::many(Default::default(), kind, meta, objects);
    Ok(Reply::new(200, Content::Object(list)))
}

fn end(
    api: &Arc<Api>,
    store: &mut Store,
    kind: &Kind,
    key: &Key,
    object: &Arc<Value>,
    options: &Options,
) -> Result<Fate, Failure> {
    if kind.is("", "namespaces") {
        let fixed = ["default", "kube-system", "kube-public"];
        if fixed.contains(&key.name.as_str()) {
            let why = "this namespace may not be deleted";
            return Err(Failure::forbidden("", "namespaces", &key.name, why));
        }
    }
    let grace = grace_of(kind, object, options.grace);
    if options.dry_run {
        return Ok(if grace > 0 || waits(kind, object) {
            Fate::Going(object.clone())
        } else {
            Fate::Gone(object.clone())
        });
    }
    if object::is_going(object) {
        return Ok(again(api, store, kind, key, object, grace));
    }
    if grace == 0 && !object::has_finalizers(object) && !waits(kind, object) {
        let gone = remove_now(api, store, key).unwrap_or_else(|| object.clone());
        if !kind.is("", "pods") {
            return Ok(Fate::Gone(gone));
        }
        let mut gone = (*gone).clone();
        object::set_meta(&mut gone, "deletionTimestamp", Some(object::now().into()));
        object::set_meta(&mut gone, "deletionGracePeriodSeconds", Some(0.into()));
        return Ok(Fate::Gone(Arc::new(gone)));
    }
    let going = begin(store, kind, key, object, grace);
    if kind.is("", "namespaces") {
        empty_namespace(api, store, &key.name);
    }
    crd::changed(api, store, kind, key);
    if grace > 0 && api.options.grace {
        remove_later(api, key, object::uid(object), grace);
    }
    if kind.plural == "customresourcedefinitions" {
        return Ok(Fate::Going(going));
    }
    let still = store.get(key).cloned();
    Ok(still.map_or(Fate::Going(going), Fate::Going))
}

/// How long an object has: only pods, and only those that run somewhere, have time at all.
fn grace_of(kind: &Kind, object: &Value, asked: Option<i64>) -> i64 {
    if !kind.is("", "pods") {
        return 0;
    }
    let runs = object["spec"]["nodeName"]
        .as_str()
        .is_some_and(|name| !name.is_empty());
    let over = matches!(
        object["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed")
    );
    if !runs || over {
        return 0;
    }
    let own = object["spec"]["terminationGracePeriodSeconds"].as_i64();
    asked.or(own).unwrap_or(30)
}

/// Whether something else than finalizers has to happen first.
pub(super) fn waits(kind: &Kind, object: &Value) -> bool {
    let finalizers = &object["spec"]["finalizers"];
    kind.is("", "namespaces") && finalizers.as_array().is_some_and(|list| !list.is_empty())
        || kind.is("apiextensions.k8s.io", "customresourcedefinitions")
            && crd::is_established(object)
            && !crd::is_emptied(object)
}

fn again(
    api: &Arc<Api>,
    store: &mut Store,
    kind: &Kind,
    key: &Key,
    object: &Arc<Value>,
    grace: i64,
) -> Fate {
    let left = object["metadata"]["deletionGracePeriodSeconds"]
        .as_i64()
        .unwrap_or(0);
    if grace >= left || object::has_finalizers(object) || waits(kind, object) {
        return Fate::Going(object.clone());
    }
    if grace == 0 {
        let gone = remove_now(api, store, key);
        return Fate::Gone(gone.unwrap_or_else(|| object.clone()));
    }
    let mut shorter = (**object).clone();
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
    object::set_meta(
        &mut shorter,
        "deletionTimestamp",
        Some(object::stamp(ends).into()),
    );
    object::set_meta(
        &mut shorter,
        "deletionGracePeriodSeconds",
        Some(grace.into()),
    );
    Fate::Going(store.put(key.clone(), shorter))
}

/// Says that an object is to go.
fn begin(store: &mut Store, kind: &Kind, key: &Key, object: &Value, grace: i64) -> Arc<Value> {
    let mut going = object.clone();
    let ends = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
    object::set_meta(
        &mut going,
        "deletionTimestamp",
        Some(object::stamp(ends).into()),
    );
    if !kind.is("", "namespaces") {
        object::set_meta(&mut going, "deletionGracePeriodSeconds", Some(grace.into()));
    }
    if let Some(generation) = going["metadata"]["generation"].as_i64() {
        object::set_meta(&mut going, "generation", Some((generation + 1).into()));
    }
    if kind.is("", "namespaces") {
        going["status"]["phase"] = "Terminating".into();
    }
    crd::going(kind, &mut going);
    store.put(key.clone(), going)
}

/// What the kubelet does once a pod has ended.
fn remove_later(api: &Arc<Api>, key: &Key, uid: &str, grace: i64) {
    let (this, key, uid) = (Arc::downgrade(api), key.clone(), uid.to_owned());
    api.spawn(async move {
        tokio::time::sleep(Duration::from_secs(grace.unsigned_abs())).await;
        let Some(api) = this.upgrade() else {
            return;
        };
        let mut store = api.store();
        let same = store
            .get(&key)
            .is_some_and(|object| object::uid(object) == uid);
        if same {
            remove_now(&api, &mut store, &key);
        }
    });
}

/// Takes an object away, and whatever waited for that.
pub(crate) fn remove_now(api: &Arc<Api>, store: &mut Store, key: &Key) -> Option<Arc<Value>> {
    let gone = store.remove(key)?;
    crd::removed(api, store, key);
    if !key.namespace.is_empty() {
        collect(api, store, &key.namespace);
    }
    Some(gone)
}

/// Takes everything in a namespace away, so far as that can go now.
fn empty_namespace(api: &Arc<Api>, store: &mut Store, namespace: &str) {
    for key in store.in_namespace(namespace) {
        let Some(object) = store.get(&key).cloned() else {
            continue;
        };
        if !object::has_finalizers(&object) {
            store.remove(&key);
            crd::removed(api, store, &key);
        } else if !object::is_going(&object) {
            let mut going = (*object).clone();
            object::set_meta(&mut going, "deletionTimestamp", Some(object::now().into()));
            object::set_meta(&mut going, "deletionGracePeriodSeconds", Some(0.into()));
            store.put(key, going);
        }
    }
    collect(api, store, namespace);
}

/// Ends a namespace that is to go and has nothing left in it.
pub(crate) fn collect(_api: &Arc<Api>, store: &mut Store, namespace: &str) {
    let key = Key::new(&"/namespaces".into(), "", namespace);
    let going = store
        .get(&key)
        .is_some_and(|object| object::is_going(object) && !object::has_finalizers(object));
    if going && store.in_namespace(namespace).is_empty() {
        store.remove(&key);
    }
}
