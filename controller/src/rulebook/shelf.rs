//! The rules of one namespace, for those who read and watch.

use std::sync::Arc;

use a8_common::model::{Epoch, Namespace, Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::view::{self, Publisher, Snapshot, View};
use a8_common::watch::server::{Filter, Outlet};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Selection;

/// The rules of one namespace, as they were last heard of.
pub struct Shelf {
    namespace: Namespace,
    publisher: Publisher<Rule>,
    /// What sidecars watch: one set of lines for all of them.
    everything: Outlet<Rule>,
    turns: RwLock<()>,
}

impl Shelf {
    /// An empty one.
    pub(super) fn new(namespace: Namespace, epoch: &Epoch) -> Self {
        let shelf = Self::not_loaded(namespace);
        shelf.replace(epoch, Revision(0), Vec::new());
        shelf
    }

    /// One whose rules have not been read yet.
    pub(super) fn not_loaded(namespace: Namespace) -> Self {
        let (publisher, view) = view::channel();
        Self {
            namespace,
            publisher,
            everything: Outlet::new(view, Filter::default()),
            turns: RwLock::default(),
        }
    }

    /// Leave to write beside others of this process.
    pub(super) async fn beside_others(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().await
    }

    /// Leave to write while nobody else of this process does. It is given in turn: whoever
    /// asks for leave of either kind later waits.
    pub(super) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().await
    }

    /// Whose rules these are.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The rules now.
    pub fn snapshot(&self) -> Arc<Snapshot<Rule>> {
        self.view().snapshot()
    }

    /// The rules that `selection` takes, for listing and watching.
    pub fn outlet(&self, selection: Selection) -> Outlet<Rule> {
        if selection.takes_all() {
            return self.everything.clone();
        }
        let filter = Filter::of(move |rule| selection.takes(rule));
        Outlet::new(self.view(), filter)
    }

    /// Waits until `revision` is in.
    pub(super) async fn reached(&self, revision: Revision) {
        // The writer is this shelf itself: the view cannot lose it.
        self.view().reached(revision).await;
    }

    pub(super) fn replace(&self, epoch: &Epoch, revision: Revision, rules: Vec<Arc<Rule>>) {
        self.publisher.replace(epoch, revision, rules);
    }

    pub(super) fn apply(&self, revision: Revision, puts: Vec<Arc<Rule>>, removes: &[RuleId]) {
        self.publisher.apply(revision, puts, removes);
    }

    /// Whether nothing was ever written here.
    pub(super) fn is_blank(&self) -> bool {
        self.snapshot().revision == Revision(0)
    }

    /// Whether nobody would miss it.
    pub(super) fn is_idle(&self) -> bool {
        // One reader is the shelf's own outlet.
        self.is_blank() && self.publisher.readers() <= 1
    }

    pub(super) fn view(&self) -> View<Rule> {
        self.publisher.view()
    }
}
