//! The rules that are known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use a8_common::model::{Epoch, RuleId, ServiceName};
use a8_common::rule::Rule;
use a8_common::view::Update;
use tokio::time::Instant;
use tracing::info;

/// All rules. Those that a new epoch does not know are held for a while, unless it has
/// rules for the same destination: then somebody is writing them anew, and what is written
/// must count at once.
#[derive(Default)]
pub(super) struct Rulebook {
    epoch: Option<Epoch>,
    rules: HashMap<RuleId, Arc<Rule>>,
    held: HashMap<RuleId, (Arc<Rule>, Instant)>,
}

impl Rulebook {
    /// Takes an update in. What a new epoch does not know is held until `until`.
    pub(super) fn take(&mut self, update: Update<Rule>, until: Instant) {
        match update {
            Update::Change(change) => {
                for gone in &change.removes {
                    self.rules.remove(gone.id());
                }
                for upsert in &change.upserts {
                    let rule = upsert.item.clone();
                    self.rules.insert(rule.id().clone(), rule);
                }
            }
            Update::Reset(snapshot) => {
                let another = self.epoch.is_some() && self.epoch != snapshot.epoch;
                self.epoch = snapshot.epoch.clone();
                let now = snapshot
                    .items
                    .iter()
                    .map(|(id, rule)| (id.clone(), rule.clone()));
                let before = std::mem::replace(&mut self.rules, now.collect());
                if another && !before.is_empty() {
                    info!(rules = before.len(), "a new epoch of rules");
                    self.held
                        .extend(before.into_iter().map(|(id, rule)| (id, (rule, until))));
                }
            }
        }
        let named: HashSet<&ServiceName> = self.rules.values().map(|r| r.destination()).collect();
        self.held.retain(|id, (rule, _)| {
            !self.rules.contains_key(id) && !named.contains(rule.destination())
        });
    }

    /// Lets go of what was held until `now`; whether there was any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.held.len();
        self.held.retain(|_, (_, until)| *until > now);
        self.held.len() != before
    }

    /// When the next held rule is let go.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.held.values().map(|(_, until)| *until).min()
    }

    /// All rules that count.
    pub(super) fn rules(&self) -> impl Iterator<Item = Arc<Rule>> {
        let held = self.held.values().map(|(rule, _)| rule);
        self.rules.values().chain(held).cloned()
    }

    /// How many rules there are, and how many of them are held.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rules.len() + self.held.len(), self.held.len())
    }
}
