//! What a request wants, and by which steps it is reached from what is there.

use std::collections::BTreeMap;

use a8_common::kubernetes::routing_rule;
use a8_common::kubernetes::rule_objects::Step;
use a8_common::model::RuleId;
use a8_common::rule::Rule;
use kube::core::DynamicObject;

use crate::rulebook::{Selection, WriteError};

/// What a request wants.
pub(super) enum Wanted {
    /// These rules, made or replaced.
    Add(Vec<Rule>),
    /// These rules, replaced.
    Update(Vec<Rule>),
    /// That these be gone.
    Remove(Selection),
}

/// The objects that a request may be about, by name.
pub(super) type Live = BTreeMap<String, DynamicObject>;

impl Wanted {
    /// The names of the objects that it is about, if it says so.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Add(rules) | Self::Update(rules) => {
                Some(rules.iter().map(|rule| rule.id().to_string()).collect())
            }
            Self::Remove(selection) if !selection.ids.is_empty() => Some(selection.ids.clone()),
            Self::Remove(_) => None,
        }
    }

    /// Whether an object may be made for it.
    pub(super) fn makes(&self) -> bool {
        matches!(self, Self::Add(_))
    }

    /// Whether `object` is still among those that shall be gone.
    pub(super) fn takes(&self, object: &DynamicObject) -> bool {
        match self {
            Self::Add(_) | Self::Update(_) => true,
            Self::Remove(selection) => match routing_rule::rule(object) {
                Ok(rule) => selection.takes(&rule),
                Err(_) => selection.takes_all_but_ids(),
            },
        }
    }

    /// The steps to it from `live`.
    pub(super) fn steps(&self, live: &Live) -> Result<Vec<Step>, WriteError> {
        match self {
            Self::Add(rules) => Ok(Step::puts(rules, live)),
            Self::Update(rules) => {
                let known = |rule: &&Rule| !live.contains_key(rule.id().as_str());
                let unknown = rules.iter().filter(known).map(|rule| rule.id().to_string());
                let unknown: Vec<String> = unknown.collect();
                match unknown.is_empty() {
                    true => Ok(Step::puts(rules, live)),
                    false => Err(WriteError::Unknown(unknown)),
                }
            }
            Self::Remove(selection) => {
                let unknown = selection.unknown(|id| live.contains_key(id));
                if !unknown.is_empty() {
                    return Err(WriteError::Unknown(unknown));
                }
                Ok(Step::removes(live, |object| self.takes(object)))
            }
        }
    }
}

/// The ids of what `steps` are about.
pub(super) fn ids(steps: &[Step]) -> Vec<RuleId> {
    // Whatever a cluster takes as a name, is one of ours.
    let ids = steps.iter().filter_map(|step| RuleId::new(&step.name).ok());
    ids.collect()
}
