//! What is wrong with a configuration: which setting, who set it, why.

use std::fmt;

use super::setting::{Setting, variable};

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    File(String),
    Environment,
    Flag,
}

impl Origin {
    pub(super) const DEFAULT: &str = "default";
    pub(super) const ENVIRONMENT: &str = "environment";
    pub(super) const FLAG: &str = "command line";

    /// Reads back what the layers carry as text. Anything else is the name of a file.
    pub(super) fn from_label(label: Option<&str>) -> Self {
        match label {
            None | Some(Self::DEFAULT) => Self::Default,
            Some(Self::ENVIRONMENT) => Self::Environment,
            Some(Self::FLAG) => Self::Flag,
            Some(file) => Self::File(file.to_owned()),
        }
    }

    /// The setting by the name that this origin knows it by.
    pub(super) fn name(&self, setting: &Setting) -> String {
        match self {
            Self::Default => format!("{} ({})", setting.name, Self::DEFAULT),
            Self::Flag => format!("--{} ({})", setting.name, Self::FLAG),
            Self::Environment => format!("{} ({})", variable(setting.name), Self::ENVIRONMENT),
            Self::File(file) => format!("{} ({file})", setting.path),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting as the operator wrote it, and where: `A8_DNS_PORT (environment)`.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// All that is wrong; one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}  {problem}")?;
        }
        Ok(())
    }
}
