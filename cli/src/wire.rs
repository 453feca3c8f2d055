//! The parts of the servers' answers that the tables show.
//!
//! Read leniently: a newer server may say more than this command knows.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

mod contents;
mod explanation;

pub(crate) use contents::Contents;
pub(crate) use explanation::{Chance, Considered, Explanation};

/// `GET /v1/rules/routes` and `/v1/rules/actions`.
#[derive(Debug, Deserialize)]
pub(crate) struct RulesByService {
    #[serde(default)]
    pub(crate) services: BTreeMap<String, Vec<Rule>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rule {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default)]
    pub(crate) destination: String,
    #[serde(default, rename = "match")]
    pub(crate) matches: Option<Match>,
    #[serde(default)]
    pub(crate) route: Option<Route>,
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Match {
    #[serde(default)]
    pub(crate) source: Option<Source>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) all: Vec<Match>,
    #[serde(default)]
    pub(crate) any: Vec<Match>,
    #[serde(default)]
    pub(crate) none: Vec<Match>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Route {
    #[serde(default)]
    pub(crate) backends: Vec<Backend>,
    #[serde(default)]
    pub(crate) uri: Option<Uri>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Uri {
    #[serde(default)]
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Backend {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) weight: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Action {
    #[serde(default)]
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default = "always")]
    pub(crate) probability: f64,
    #[serde(default)]
    pub(crate) duration: f64,
    #[serde(default)]
    pub(crate) return_code: i64,
}

/// What an action without `probability` means.
fn always() -> f64 {
    1.0
}

/// `GET /api/v1/instances`.
#[derive(Debug, Deserialize)]
pub(crate) struct Instances {
    #[serde(default)]
    pub(crate) instances: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Instance {
    pub(crate) service_name: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

/// The body of an answer that says no, in any of the forms that such servers use.
#[derive(Debug, Default, Deserialize)]
pub struct Refusal {
    #[serde(default, alias = "Error")]
    error: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(default)]
    rule: Option<usize>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    reason: String,
}

impl Refusal {
    /// A refusal that is no JSON: whoever answered, one line of it is enough.
    pub(crate) fn text(text: &str) -> Self {
        let line = text.lines().next().unwrap_or_default();
        Self {
            error: line.chars().take(200).collect(),
            ..Self::default()
        }
    }

    /// One that was found here.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn new(error: &str, description: String) -> Self {
        Self {
            error: error.to_owned(),
            description,
            details: Vec::new(),
        }
    }

    /// Rules that are none.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn invalid_rule(faults: impl IntoIterator<Item = a8_common::rule::Fault>) -> Self {
        let details = faults.into_iter().map(|fault| Detail {
            rule: fault.rule,
            path: fault.path,
            reason: fault.reason,
        });
        Self {
            error: "invalid_rule".to_owned(),
            description: String::new(),
            details: details.collect(),
        }
    }

    /// Whether it is about a rule that is not there, rather than about the path.
    pub(crate) fn is_of_a_rule(&self) -> bool {
        self.error == "unknown_rule"
    }
}

/// The summary, or each detail on a line of its own.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A description of several details only repeats them.
        if self.details.is_empty() {
            return f.write_str(match self.description.is_empty() {
                true => &self.error,
                false => &self.description,
            });
        }
        f.write_str(&self.error.replace('_', " "))?;
        for detail in &self.details {
            f.write_str("\n  ")?;
            if let Some(rule) = detail.rule {
                write!(f, "rules[{rule}]")?;
                if !detail.path.is_empty() {
                    f.write_str(".")?;
                }
            }
            if detail.rule.is_some() || !detail.path.is_empty() {
                write!(f, "{}: ", detail.path)?;
            }
            f.write_str(&detail.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_every_detail_on_its_own_line() {
        let refusal: Refusal = serde_json::from_str(
            r#"{"error":"invalid_rule","description":"2 faults","details":[
                {"rule":0,"path":"route.backends[0].weight","reason":"must not be negative"},
                {"rule":1,"path":"","reason":"needs route or actions"}]}"#,
        )
        .unwrap();
        assert_eq!(
            refusal.to_string(),
            "invalid rule\n  rules[0].route.backends[0].weight: must not be negative\n  rules[1]: needs route or actions"
        );
    }

    #[test]
    fn the_originals_spelling_is_read_too() {
        let refusal: Refusal = serde_json::from_str(r#"{"Error":"no such instance"}"#).unwrap();
        assert_eq!(refusal.to_string(), "no such instance");
    }
}
