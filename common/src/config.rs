//! Configuration: one reader for every binary.
//!
//! A component declares its settings in tables ([`Group`]s of [`Setting`]s): one row gives the
//! flag `--registry_url`, the variable `A8_REGISTRY_URL`, the place `registry.url` in the YAML
//! file, the kind, the default and the help text. [`start`] layers flag over environment over
//! file over default, hands the result to the component as [`Settings`], and collects every
//! problem, each with the name that the operator wrote and where, before it gives up.
//!
//! This is the only place of the workspace that reads the environment.

mod check;
mod command;
mod health;
mod input;
mod layers;
mod print;
mod problem;
mod secret;
mod setting;
mod settings;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

pub use check::duration;
pub use command::command;
pub use health::{Page, Question};
pub use input::Input;
pub use print::markdown;
pub use problem::{Problem, Problems};
pub use secret::{Secret, redacted};
pub use setting::{Component, Group, Kind, Place, Setting};
pub use settings::Settings;

/// The exit code for a configuration or a command line that cannot be used (`EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;

/// Why the process ends before it has begun: help was asked for, something is wrong, or it is
/// only to ask another one for its health.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    code: u8,
    text: String,
    question: Option<Question>,
}

impl Exit {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What is to be asked of the process that runs by this configuration, if anything.
    pub fn question(&self) -> Option<Question> {
        self.question
    }

    /// Prints the text, to stdout when all is well and to stderr otherwise.
    pub fn report(&self) -> ExitCode {
        // A reader that has gone away, as `head` does, is no failure.
        let _ = match self.code {
            0 => writeln!(io::stdout(), "{self}"),
            _ => writeln!(io::stderr(), "{self}"),
        };
        ExitCode::from(self.code)
    }

    fn ok(text: impl Into<String>) -> Self {
        Self {
            code: 0,
            text: text.into(),
            question: None,
        }
    }

    fn problems(component: &Component, problems: &Problems) -> Self {
        let name = component.name;
        Self::usage(format!("{name}: bad configuration\n{problems}"))
    }

    fn usage(text: impl Into<String>) -> Self {
        Self {
            code: EXIT_USAGE,
            text: text.into(),
            question: None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

/// Reads the configuration of `component` from `input` and lets `read` make its type of it.
///
/// `read` may report what it finds by [`Settings::refuse`]; what it returns is used only when
/// neither the loader nor `read` found a problem.
///
/// # Errors
/// [`Exit`] when the process should end: `--help`, `--version`, `--print_config` and
/// `--check_config` with code 0, problems with [`EXIT_USAGE`], all of them at once;
/// `--check_health` with a [`Question`].
pub fn start<C>(
    component: &Component,
    input: &Input,
    read: impl FnOnce(&Settings) -> C,
) -> Result<C, Exit> {
    let given = command::parse(component, input)?;
    let (settings, ask) = layers::settle(component, input, given);
    if let layers::Ask::Health(page) = ask {
        return Err(health::question(component, &settings, page));
    }
    let config = read(&settings);
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(Exit::problems(component, &problems));
    }
    match ask {
        layers::Ask::Print => Err(Exit::ok(print::yaml(&settings))),
        layers::Ask::Check => Err(Exit::ok("the configuration is valid")),
        layers::Ask::Run | layers::Ask::Health(_) => Ok(config),
    }
}

#[cfg(test)]
mod tests;
