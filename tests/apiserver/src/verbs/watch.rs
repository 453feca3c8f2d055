//! Watches: what is there, and what becomes of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use super::list;
use crate::api::Api;
use crate::api::call::Call;
use crate::failure::Failure;
use crate::field::FieldError;
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::{self, Change};
use crate::wire::accept::{Accept, Shape};
use crate::wire::reply::{Content, Cut, Reply};
use crate::{shape, view};

/// How long a watch lasts that does not say.
const LIFETIME: Duration = Duration::from_secs(3600);

/// One watch while it goes on.
struct Watch {
    api: Arc<Api>,
    kind: Arc<Kind>,
    namespace: Option<String>,
    selector: Selector,
    accept: Accept,
    /// What was told already.
    at: u64,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
    revision: Receiver<u64>,
    cuts: Receiver<u64>,
    ready: VecDeque<Bytes>,
    told_columns: bool,
    over: bool,
}

fn check(call: &Call<'_>) -> Result<(), Failure> {
    let mut faults = Vec::new();
    let matching = call.query.get("resourceVersionMatch");
    let field = "resourceVersionMatch";
    let initial = call.query.has("sendInitialEvents");
    if initial && matching != "NotOlderThan" {
        let said = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        faults.push(FieldError::forbidden(field, said));
    }
    if !matching.is_empty() {
        if !initial {
            let said =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            faults.push(FieldError::forbidden(field, said));
        }
        if matching != "NotOlderThan" {
            let known = ["NotOlderThan"];
            faults.push(FieldError::unsupported(field, &matching.into(), &known));
        }
    }
    if !call.query.get("continue").is_empty() {
        let said = "resourceVersionMatch is forbidden when continue is provided";
        faults.push(FieldError::forbidden(field, said));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &faults))
    }
}

/// Answers a watch.
pub(super) fn watch(call: &Call<'_>, kind: &Arc<Kind>) -> Result<Reply, Failure> {
    check(call)?;
    let accept = Accept::parse(call.accept, false)?;
    let selector = list::selector(call, kind)?;
    let wanted = list::revision(call)?;
    let seconds = list::number(call, "timeoutSeconds")?;
    let lifetime = seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|s| *s > 0)
        .map_or(LIFETIME, Duration::from_secs);
    let initial = call.query.is_on("sendInitialEvents");
    let bookmarks = call.query.is_on("allowWatchBookmarks");
    let api = call.api.clone();
    let store = api.store();
    let now = Instant::now();
    let too_old = wanted.is_some_and(|revision| revision > 0 && revision < store.compacted());
    if too_old && !initial && call.api.options.gone_by_status {
        return Err(too_old_failure(wanted.unwrap_or(0), store.compacted()));
    }
    if initial && wanted.is_some_and(|revision| revision > store.revision()) {
        return Err(Failure::too_large_revision(
            wanted.unwrap_or(0),
            store.revision(),
        ));
    }
    let mut watch = Watch {
        api: call.api.clone(),
        kind: kind.clone(),
        namespace: list::namespace(call, kind).map(str::to_owned),
        selector,
        accept,
        at: store.revision(),
        bookmarks,
        next_bookmark: now + call.api.options.bookmarks,
        end: now + lifetime,
        revision: store.follow(),
        cuts: call.api.faults.cuts(),
        ready: VecDeque::new(),
        told_columns: false,
        over: false,
    };
    let from_now_on = call.query.has("sendInitialEvents") && !initial;
    match wanted {
        Some(revision) if revision > 0 && !initial => watch.at = revision,
        None if from_now_on => {}
        _ => {
            let there: Vec<_> = store
                .list(&kind.table, watch.namespace.as_deref())
                .map(|(_, object)| object.clone())
                .collect();
            for object in there {
                if watch.selector.matches(&object) {
                    watch.tell("ADDED", &object);
                }
            }
            if initial && bookmarks {
                watch.bookmark(true);
            }
        }
    }
    drop(store);
    Ok(Reply::new(200, Content::Lines(watch.lines().boxed())))
}

fn too_old_failure(wanted: u64, oldest: u64) -> Failure {
    Failure::expired(format!("too old resource version: {wanted} ({oldest})"))
}

impl Watch {
    fn lines(self) -> impl stream::Stream<Item = Result<Bytes, Cut>> + Send {
        stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((line, watch))
        })
    }

    async fn next(&mut self) -> Option<Result<Bytes, Cut>> {
        loop {
            self.api.faults.unstalled().await;
            if self.cuts.has_changed().unwrap_or(true) {
                return Some(Err(Cut));
            }
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            if self.over || Instant::now() >= self.end {
                return None;
            }
            self.revision.mark_unchanged();
            self.catch_up();
            if !self.ready.is_empty() || self.over {
                continue;
            }
            let bookmark = self.next_bookmark;
            tokio::select! {
                changed = self.revision.changed() => changed.ok()?,
                _ = self.cuts.changed() => return Some(Err(Cut)),
                () = tokio::time::sleep_until(self.end) => return None,
                () = tokio::time::sleep_until(bookmark), if self.bookmarks => {
                    self.bookmark(false);
                    self.next_bookmark = Instant::now() + self.api.options.bookmarks;
                }
            }
        }
    }

    /// Tells what happened since.
    fn catch_up(&mut self) {
        let api = self.api.clone();
        let store = api.store();
        let now = store.revision();
        if self.at > now {
            return;
        }
        match store.since(&self.kind.table, self.namespace.as_deref(), self.at) {
            Ok(changes) => {
                drop(store);
                for change in changes {
                    self.change(&change);
                }
                self.at = now;
            }
            Err(store::Compacted) => {
                let failure = too_old_failure(self.at, store.compacted());
                self.line("ERROR", failure.object());
                self.over = true;
            }
        }
        let kinds = self.api.kinds();
        let kind = kinds.get(&self.kind.group, &self.kind.version, &self.kind.plural);
        match kind {
            // What is served under another schema now is shown by that one.
            Some(kind) => self.kind = kind.clone(),
            None => self.over = true,
        }
    }

    fn change(&mut self, change: &Change) {
        let matches = |object: &Option<Arc<Value>>| {
            object
                .as_ref()
                .filter(|object| self.selector.matches(object))
                .cloned()
        };
        let (before, after) = (matches(&change.before), matches(&change.after));
        match (before, after) {
            (None, Some(object)) => self.tell("ADDED", &object),
            (Some(_), Some(object)) => self.tell("MODIFIED", &object),
            (Some(object), None) => {
                self.tell("DELETED", &store::at(&object, change.revision));
            }
            (None, None) => {}
        }
    }

    fn tell(&mut self, what: &str, object: &Value) {
        let object = view::of(&self.kind, object);
        let first = !self.told_columns;
        self.told_columns = true;
        let shaped = shape::event(self.accept.shape, &self.kind, object, first);
        self.line(what, shaped);
    }

    fn bookmark(&mut self, initial: bool) {
        let mut meta = json!({
            "resourceVersion": self.at.to_string(), "creationTimestamp": null,
        });
        if initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({
            "kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": meta,
        });
        let shaped = match self.accept.shape {
            Shape::Whole => object,
            other => shape::event(other, &self.kind, object, false),
        };
        self.line("BOOKMARK", shaped);
    }

    fn line(&mut self, what: &str, object: Value) {
        let line = json!({"type": what, "object": object}).to_string() + "\n";
        self.ready.push_back(line.into());
    }
}
