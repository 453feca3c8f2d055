//! Brings what the cluster says onto the shelf.

use std::sync::Arc;

use a8_common::kubernetes::routing_rule::NotARule;
use a8_common::kubernetes::rule_objects;
use a8_common::model::{Epoch, Revision, RuleId};
use a8_common::rule::Rule;
use kube::core::DynamicObject;
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;
use tracing::warn;

use super::contents::{Contents, Known};
use crate::rulebook::Shelf;

/// So many objects that are no rules are named in the log when all are read; of more, how many.
const NAMED: usize = 10;

pub(super) struct Feeder {
    shelf: Arc<Shelf>,
    contents: watch::Sender<Contents>,
    rules: IntGauge,
    invalid: IntGauge,
}

impl Feeder {
    pub(super) fn new(
        shelf: Arc<Shelf>,
        contents: watch::Sender<Contents>,
        metrics: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let rules = IntGauge::new("a8_controller_rules", "Rules of all namespaces")?;
        let invalid = IntGauge::new(
            "a8_controller_invalid_rules",
            "Objects of the cluster that are left out because they are no valid rules",
        )?;
        metrics.register(Box::new(rules.clone()))?;
        metrics.register(Box::new(invalid.clone()))?;
        Ok(Self {
            shelf,
            contents,
            rules,
            invalid,
        })
    }

    /// These are all objects, at `version`.
    pub(super) fn load(&self, epoch: &Epoch, version: u64, objects: Vec<DynamicObject>) {
        let mut now = Contents {
            loaded: true,
            version,
            ..Contents::default()
        };
        let mut told = 0;
        let before = self.contents.borrow().clone();
        for object in objects {
            let name = rule_objects::name(&object).to_owned();
            let old = before.objects.get(&name);
            let known = Arc::new(Known::of(object, old));
            if let Some(reason) = news(old, &known) {
                told += 1;
                if told <= NAMED {
                    tell(&name, reason);
                }
            }
            now.objects.insert(name, known);
        }
        if told > NAMED {
            warn!(more = told - NAMED, "more objects are no rules");
        }
        let rules = now
            .objects
            .values()
            .filter_map(|known| known.rule().cloned());
        self.shelf
            .replace(epoch, Revision(version), rules.collect());
        self.publish(now);
    }

    /// `object` is new, or another than before.
    pub(super) fn put(&self, version: u64, object: DynamicObject) {
        let mut now = self.contents.borrow().clone();
        let name = rule_objects::name(&object).to_owned();
        let old = now.objects.get(&name);
        let known = Arc::new(Known::of(object, old));
        if let Some(reason) = news(old, &known) {
            tell(&name, reason);
        }
        let (before, after) = (old.and_then(|old| old.rule()), known.rule());
        match (before, after) {
            (Some(before), Some(after)) if before == after => {}
            (_, Some(after)) => self.change(version, vec![after.clone()], &[]),
            (Some(before), None) => self.change(version, vec![], &[before.id().clone()]),
            (None, None) => {}
        }
        now.objects.insert(name, known);
        now.version = version;
        self.publish(now);
    }

    /// `object` is no longer there.
    pub(super) fn gone(&self, version: u64, object: &DynamicObject) {
        let mut now = self.contents.borrow().clone();
        let removed = now.objects.remove(rule_objects::name(object));
        if let Some(rule) = removed.as_ref().and_then(|known| known.rule()) {
            self.change(version, vec![], &[rule.id().clone()]);
        }
        now.version = version;
        self.publish(now);
    }

    /// Nothing happened up to `version`.
    pub(super) fn reached(&self, version: u64) {
        self.contents
            .send_if_modified(|now| std::mem::replace(&mut now.version, version) != version);
    }

    /// The cluster has no definition of rules, so there are none. A shelf that is empty
    /// already stays as it is.
    pub(super) fn clear(&self) {
        let before = self.contents.borrow().clone();
        if before.objects.is_empty() {
            return;
        }
        self.shelf
            .replace(&Epoch::named("none"), Revision(0), vec![]);
        self.publish(Contents {
            objects: Default::default(),
            ..before
        });
    }

    fn change(&self, version: u64, puts: Vec<Arc<Rule>>, removes: &[RuleId]) {
        self.shelf.apply(Revision(version), puts, removes);
    }

    /// Whoever waits for a version finds it on the shelf.
    fn publish(&self, now: Contents) {
        let valid = self.shelf.snapshot().items.len();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.rules.set(count(valid));
        self.invalid
            .set(count(now.objects.len().saturating_sub(valid)));
        self.contents.send_replace(now);
    }
}

/// Why an object is no rule, unless that was known.
fn news<'a>(before: Option<&Arc<Known>>, now: &'a Known) -> Option<&'a NotARule> {
    let reason = now.verdict.as_ref().err()?;
    let known = before.and_then(|before| before.verdict.as_ref().err());
    (known != Some(reason)).then_some(reason)
}

fn tell(name: &str, reason: &NotARule) {
    warn!(name, %reason, "an object is no valid rule, it is left out");
}
