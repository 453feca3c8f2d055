//! What changes on the shelf while a write is under way: at which revision the write itself
//! became visible, and what others did meanwhile.

use std::collections::BTreeSet;

use a8_common::model::{Revision, RuleId};
use a8_common::rule::Rule;
use a8_common::view::{Subscription, Update};

use super::step::Done;
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

    /// The first and the last revision that `done` made, as far as they are known by now.
    /// `None` when they changed nothing that shows.
    pub(super) fn made_by(&mut self, done: &[Done]) -> Option<(Revision, Revision)> {
        self.note();
        let ours = || done.iter().filter(|done| done.ours);
        let versions: BTreeSet<u64> = ours().filter_map(Done::version).collect();
        let gone = ours().filter(|done| done.after.is_none());
        let gone: BTreeSet<&str> = gone.map(|done| done.step.name.as_str()).collect();
        let is_ours = |(revision, removed): &&(Revision, Vec<RuleId>)| {
            versions.contains(&revision.0) || removed.iter().any(|id| gone.contains(id.as_str()))
        };
        let mut made = self.noted.iter().filter(is_ours).map(|(at, _)| *at);
        let first = made.next()?;
        Some((first, made.next_back().unwrap_or(first)))
    }

    /// Whether others changed something before `first`.
    pub(super) fn others_before(&mut self, first: Revision) -> bool {
        self.note();
        self.torn || self.noted.iter().any(|(at, _)| *at < first)
    }
}
