//! What the process was started with: arguments and environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::setting::variable;

/// Arguments and environment, read once; tests make their own.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The arguments after the program's name.
    pub(super) args: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
}

impl Input {
    /// What this process was started with. Variables whose names are not UTF-8 are left out.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn from_process() -> Self {
        Self {
            args: std::env::args_os().skip(1).collect(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
                .collect(),
        }
    }

    /// The given arguments, and no environment.
    pub fn from_args(args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            args: args.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
        }
    }

    /// The same with one more variable.
    pub fn with_variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// A variable by its own name, such as `HOME`. An empty one counts as not set, and so does
    /// one that is not UTF-8.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let text = self.environment.get(name)?.to_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// Whether the variable of a setting is there and cannot be read, as it is not UTF-8.
    pub(super) fn is_unreadable(&self, name: &str) -> bool {
        let value = self.environment.get(&variable(name));
        value.is_some_and(|value| value.to_str().is_none())
    }

    /// The variable of a setting. Empty counts as not set: container tools pass variables on
    /// as empty when nobody gave them a value.
    pub(super) fn of_setting(&self, name: &str) -> Option<&str> {
        self.variable(&variable(name))
    }
}
