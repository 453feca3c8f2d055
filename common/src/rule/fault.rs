//! What is wrong with a document of rules: every fault, each with its place and a reason.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fault {
    /// Position of the rule in its document, counted from 0; `None` in a document of one
    /// rule, and when the document as a whole is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The member at fault, seen from its rule: `route.backends[0].weight`. Empty for the
    /// rule as a whole.
    pub path: String,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// `rules[2].route.backends[0].weight: must be between 0 and 1, got 7`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.rule {
            write!(f, "rules[{at}]")?;
            if !self.path.is_empty() && !self.path.starts_with('[') {
                f.write_str(".")?;
            }
        }
        f.write_str(&self.path)?;
        if self.rule.is_some() || !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)
    }
}

/// All faults of a document. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// At most so many are reported; a document with more is hopeless anyway.
    pub const MAX: usize = 1000;

    /// `None` when nothing is wrong.
    pub(super) fn of(faults: Vec<Fault>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// A fault of the document as a whole.
    pub(super) fn document(reason: impl Into<String>) -> Self {
        Self(vec![Fault {
            rule: None,
            path: String::new(),
            reason: reason.into(),
        }])
    }

    /// A fault of the document's list of rules.
    pub(super) fn at_rules(reason: impl Into<String>) -> Self {
        Self(vec![Fault {
            rule: None,
            path: "rules".to_owned(),
            reason: reason.into(),
        }])
    }

    /// The faults, in the order of the document's rules.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Faults> for Vec<Fault> {
    fn from(faults: Faults) -> Self {
        faults.0
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// All of them, separated by `; `.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
