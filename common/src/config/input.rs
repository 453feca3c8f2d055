//! What the process was started with: arguments and environment.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::setting::variable;

/// Arguments and environment, read once; tests make their own.
#[derive(Debug, Clone, Default)]
pub struct Input {
    /// The arguments after the program's name.
    pub(super) args: Vec<OsString>,
    environment: BTreeMap<String, String>,
}

impl Input {
    /// What this process was started with. Variables that are not UTF-8 are left out.
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    pub fn from_process() -> Self {
        Self {
            args: std::env::args_os().skip(1).collect(),
            environment: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
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
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable by its own name, such as `HOME`. An empty one counts as not set.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let text = self.environment.get(name)?;
        (!text.is_empty()).then_some(text)
    }

    /// The variable of a setting. Empty counts as not set: container tools pass variables on
    /// as empty when nobody gave them a value.
    pub(super) fn of_setting(&self, name: &str) -> Option<&str> {
        self.variable(&variable(name))
    }
}
