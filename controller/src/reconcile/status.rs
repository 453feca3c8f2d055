//! How a rule stands, as a status: a function of the object, the instances and what was said
//! before.

use a8_common::kubernetes::RoutingRuleStatus;
use a8_common::kubernetes::routing_rule::{Condition, State};
use a8_common::rule::Rule;
use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::instances::Carried;
use crate::rulebook::kubernetes::Known;

const ACCEPTED: &str = "Accepted";
const RESOLVED: &str = "ResolvedRefs";

/// The longest text that is told, in bytes.
const MAX_TEXT: usize = 1000;
/// So many backends without instances are named.
const NAMED: usize = 3;

/// What was said of `object` before.
pub(super) fn of(object: &DynamicObject) -> Option<RoutingRuleStatus> {
    let status = object.data.get("status")?;
    serde_json::from_value(status.clone()).ok()
}

/// The part of `status` that is said here.
pub(super) fn ours(status: &RoutingRuleStatus) -> RoutingRuleStatus {
    let mut ours = status.clone();
    ours.conditions
        .retain(|condition| [ACCEPTED, RESOLVED].contains(&condition.kind.as_str()));
    ours
}

/// What is to be said of `known`. `tags` is `None` where the instances are not known.
pub(super) fn judged(
    known: &Known,
    tags: &Option<Carried>,
    before: Option<&RoutingRuleStatus>,
    now: Timestamp,
) -> RoutingRuleStatus {
    let generation = known.object.metadata.generation;
    let condition = |kind: &str, (status, reason, message): (&str, &str, String)| {
        let earlier = before.iter().flat_map(|before| &before.conditions);
        let mut earlier = earlier.filter(|one| one.kind == kind && one.status == status);
        let since = earlier.next().map(|one| one.last_transition_time.clone());
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: since.unwrap_or_else(|| format!("{now:.0}")),
        }
    };
    let (accepted, resolved) = match &known.verdict {
        Ok(rule) => (
            ("True", "Valid", "the rule is valid".to_owned()),
            match tags.as_ref().map(|tags| missing(rule, tags)) {
                None => (
                    "Unknown",
                    "InstancesUnknown",
                    "the instances are not known".to_owned(),
                ),
                Some(text) if text.is_empty() => ("True", "Resolved", String::new()),
                Some(text) => ("False", "NoInstances", text),
            },
        ),
        Err(e) => (
            ("False", e.reason(), shortened(&e.to_string())),
            ("Unknown", "NotAccepted", "the rule is not valid".to_owned()),
        ),
    };
    let (state, message) = match &known.verdict {
        Ok(_) => (State::Valid, String::new()),
        Err(_) => (State::Invalid, accepted.2.clone()),
    };
    // What is left out would stay as somebody else wrote it.
    RoutingRuleStatus {
        state: Some(state),
        kind: Some(kind(known).unwrap_or_default().to_owned()),
        message: Some(message),
        observed_generation: generation,
        conditions: vec![condition(ACCEPTED, accepted), condition(RESOLVED, resolved)],
    }
}

/// What sort of rule it is, as far as that can be told.
fn kind(known: &Known) -> Option<&'static str> {
    if let Some(rule) = known.rule() {
        return Some(if rule.route().is_some() {
            "route"
        } else {
            "action"
        });
    }
    let spec = known.object.data.get("spec")?;
    let has = |member: &str| spec.get(member).is_some_and(|value| *value != Value::Null);
    match (has("route"), has("actions")) {
        (true, false) => Some("route"),
        (false, true) => Some("action"),
        _ => None,
    }
}

/// Which services or backends of `rule` have no instance; empty when all have.
fn missing(rule: &Rule, tags: &Carried) -> String {
    let lacking = rule.lacking(|service, wanted| tags.any(service, wanted));
    let mut text = lacking[..lacking.len().min(NAMED)].join("; ");
    if lacking.len() > NAMED {
        text.push_str(&format!("; and {} more", lacking.len() - NAMED));
    }
    shortened(&text)
}

/// `text`, or its beginning.
pub(super) fn shortened(text: &str) -> String {
    a8_common::run::shortened(text.to_owned(), MAX_TEXT - '…'.len_utf8())
}

#[cfg(test)]
mod tests;
