//! Which rules a request is about.

use a8_common::rule::Rule;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It routes.
    Route,
    /// It acts.
    Action,
}

/// Which rules a request is about. The default takes all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// One of these ids, if there are any.
    pub ids: Vec<String>,
    /// All of these tags.
    pub tags: Vec<String>,
    /// One of these destinations, if there are any.
    pub destinations: Vec<String>,
    /// This kind.
    pub kind: Option<Kind>,
}

impl Selection {
    /// Whether `rule` is meant.
    pub fn takes(&self, rule: &Rule) -> bool {
        let among =
            |given: &[String], text: &str| given.is_empty() || given.iter().any(|one| one == text);
        let kind = match rule.route() {
            Some(_) => Kind::Route,
            None => Kind::Action,
        };
        among(&self.ids, rule.id().as_str())
            && among(&self.destinations, rule.destination().as_str())
            && self.tags.iter().all(|tag| rule.tags().contains(tag))
            && self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// Whether every rule is meant.
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it chooses by ids, or not at all: then it need not look at the rules.
    #[cfg(feature = "kubernetes")]
    pub(super) fn takes_all_but_ids(&self) -> bool {
        let Self {
            ids: _,
            tags,
            destinations,
            kind,
        } = self;
        tags.is_empty() && destinations.is_empty() && kind.is_none()
    }

    /// The ids asked for of which `known` says no.
    pub fn unknown(&self, known: impl Fn(&str) -> bool) -> Vec<String> {
        self.ids.iter().filter(|id| !known(id)).cloned().collect()
    }
}
