//! The rule engine: what rules say, what they mean, and what is decided by them.
//!
//! Pure: no I/O, no clock, no randomness of its own. A document is read into [`Rule`]s that
//! cannot be wrong ([`parse_json`], [`parse_yaml`], [`parse_value`]) or refused with all its
//! [`Faults`]; rules are compiled into a [`RuleTable`], which [decides](RuleTable::decide) a
//! [`Request`] and [explains](RuleTable::explain) by the very same code. Controllers keep
//! rules, sidecars decide by them, the command line prints and explains them.

mod action;
mod affinity;
mod condition;
mod decide;
mod document;
mod explain;
mod fault;
mod holds;
mod lacking;
mod node;
mod number;
mod path;
mod pattern;
mod read;
mod route;
mod table;
mod weights;

use std::cmp::{Ordering, Reverse};

use serde::de::{DeserializeSeed, Error};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::model::{RuleId, ServiceName, Tags};
use crate::source::Source;
use crate::view::{Item, json_bytes};

pub use action::{Abort, Action, Delay, ReturnCode, ReturnCodeError, Trace};
pub use affinity::{Affinity, CookieName, CookieNameError};
pub use condition::{Caller, Condition, Header, Headers, Match};
pub use decide::{Decision, Draw, Held, Injected, Refused, Request, Routed};
pub use document::{
    Ids, MAX_RULES, parse_json, parse_json_with, parse_one, parse_value, parse_value_with,
    parse_yaml, parse_yaml_with,
};
pub use explain::{Chance, Considered, ConsideredAction, Explanation, Outcome};
pub use fault::{Fault, Faults};
pub use number::{NumberError, Seconds, Share};
pub use path::{Path, PathError};
pub use pattern::{Pattern, PatternError};
pub use read::{MAX_ACTIONS, MAX_BACKENDS, MAX_CONDITIONS, MAX_HEADERS, MAX_TRACE_BYTES};
pub use route::{Backend, Balance, Resilience, Route, Uri};
pub use table::RuleTable;
pub use weights::WeightError;

/// One rule, in the wire form of the controller's API. It has been checked: the only way to
/// make one is to read a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rule {
    /// Unique within a namespace. Made when absent.
    #[schema(value_type = String, required = false, pattern = "^[A-Za-z0-9._-]{1,253}$")]
    id: RuleId,
    /// Higher is tried first.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    priority: i64,
    /// Labels of the rule itself.
    #[serde(skip_serializing_if = "Tags::is_empty")]
    #[schema(value_type = Vec<String>, required = false)]
    tags: Tags,
    /// The service being called.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    destination: ServiceName,
    /// When the rule holds; absent: always.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    #[schema(rename = "match")]
    when: Option<Match>,
    /// Where requests go. Exactly one of `route` and `actions` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Route>,
    /// What is done to requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 64)]
    actions: Vec<Action>,
}

fn is_zero(priority: &i64) -> bool {
    *priority == 0
}

impl Rule {
    /// The id, unique within a namespace.
    pub fn id(&self) -> &RuleId {
        &self.id
    }

    /// Higher is tried first.
    pub fn priority(&self) -> i64 {
        self.priority
    }

    /// Labels of the rule itself.
    pub fn tags(&self) -> &Tags {
        &self.tags
    }

    /// The service being called.
    pub fn destination(&self) -> &ServiceName {
        &self.destination
    }

    /// When the rule holds; `None`: always.
    pub fn matches(&self) -> Option<&Match> {
        self.when.as_ref()
    }

    /// Where requests go, if this is a routing rule.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// What is done to requests; empty if this is a routing rule.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The order in which rules are tried: priority descending, then those with a match,
    /// then by id. Total over rules of different ids.
    pub fn order(&self, other: &Self) -> Ordering {
        let rank = |rule: &Self| (Reverse(rule.priority), rule.when.is_none());
        rank(self)
            .cmp(&rank(other))
            .then_with(|| self.id.cmp(&other.id))
    }
}

/// Reads a single rule; an error lists all that is wrong with it.
impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = document::Strict::Plain.deserialize(from)?;
        document::parse_one(&value, Ids::Make).map_err(D::Error::custom)
    }
}

impl Item for Rule {
    type Id = RuleId;

    fn id(&self) -> &RuleId {
        &self.id
    }

    fn bytes(&self) -> usize {
        json_bytes(self)
    }
}

/// A source of rules.
pub type RuleSource = dyn Source<Rule>;

#[cfg(test)]
mod tests;
