//! What a sidecar answers to `/explain`.

use serde::Deserialize;

/// What would become of a request, and why.
#[derive(Debug, Deserialize)]
pub(crate) struct Explanation {
    #[serde(default)]
    pub(crate) from: String,
    #[serde(default)]
    pub(crate) destination: String,
    #[serde(default)]
    pub(crate) rule: Option<String>,
    #[serde(default)]
    pub(crate) backends: Vec<Chance>,
    #[serde(default)]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) routing: Vec<Considered>,
    #[serde(default)]
    pub(crate) actions: Vec<Considered>,
    #[serde(default)]
    pub(crate) known: bool,
    #[serde(default)]
    pub(crate) instances: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Chance {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    #[serde(default)]
    pub(crate) share: f64,
    #[serde(default)]
    pub(crate) drawn: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Considered {
    #[serde(default)]
    pub(crate) rule: String,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default)]
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) why: String,
    #[serde(default)]
    pub(crate) actions: Vec<ConsideredAction>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConsideredAction {
    #[serde(default)]
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) done: bool,
    #[serde(default)]
    pub(crate) why: String,
}
