//! What changes on the shelf while a write is under way: at which revision the write itself
//! became visible, and what others did meanwhile.

use std::collections::BTreeSet;

use a8_common::kubernetes::rule_objects::Done;
use a8_common::model::{Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::view::{Subscription, Update};

use crate::rulebook::Shelf;

/// Notes every change from when it was begun.
pub(super) struct Journal {
    changes: Subscription<Rule>,
    /// The revision at which it was begun.
    pub(super) begun: Revision,
    noted: Vec<(Revision, Vec<RuleId>)>,
    /// Whether the shelf was read anew, so that not everything was noted.
    torn: bool,
}

impl Journal {
    /// Begins with what comes after what `shelf` shows now.
    pub(super) fn begin(shelf: &Shelf) -> Self {
        let view = shelf.view();
        let now = view.snapshot();
        let changes = match &now.epoch {
            Some(epoch) => view.resume(epoch, now.revision),
            None => view.subscribe(),
        };
        Self {
            changes,
            begun: now.revision,
            noted: Vec::new(),
            torn: false,
        }
    }

    fn note(&mut self) {
        while let Some(update) = self.changes.ready() {
            match update {
                Update::Reset(_) => self.torn = true,
                Update::Change(change) => {
                    let removed = change.removes.iter().map(|rule| rule.id().clone());
                    self.noted.push((change.revision, removed.collect()));
                }
            }
        }
    }

    /// The first revision that those of `done` made that are ours, as far as it is known by
    /// now. `None` when they changed nothing that shows.
    pub(super) fn made_by(&mut self, done: &[Done]) -> Option<Revision> {
        self.noted_of(|| done.iter().filter(|done| done.ours)).min()
    }

    /// The revision from which on all of `done` shows, whoever did it; `None` when it does
    /// already, or not yet.
    pub(super) fn shown(&mut self, done: &[Done]) -> Option<Revision> {
        self.noted_of(|| done.iter()).max()
    }

    fn noted_of<'a, All: Iterator<Item = &'a Done>>(
        &mut self,
        done: impl Fn() -> All,
    ) -> impl Iterator<Item = Revision> {
        self.note();
        let versions: BTreeSet<u64> = done().filter_map(Done::version).collect();
        let gone = done().filter(|done| done.after.is_none());
        let gone: BTreeSet<&str> = gone.map(|done| done.step.name.as_str()).collect();
        let meant = move |(at, removed): &&(Revision, Vec<RuleId>)| {
            versions.contains(&at.0) || removed.iter().any(|id| gone.contains(id.as_str()))
        };
        self.noted.iter().filter(meant).map(|(at, _)| *at)
    }

    /// Whether others changed something before `first`.
    pub(super) fn others_before(&mut self, first: Revision) -> bool {
        self.note();
        self.torn || self.noted.iter().any(|(at, _)| *at < first)
    }
}
