//! How the supervised commands stand, for whoever shows it.

use std::collections::HashSet;
use std::path::Path;

use prometheus::{IntGaugeVec, Opts, Registry};
use serde::Serialize;
use tokio::sync::watch;

use super::Command;

/// How a command stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// The last part of its path, with a number where there are several with the same.
    pub name: String,
    /// Its process.
    #[serde(flatten)]
    pub phase: Phase,
}

/// Where the process of a command is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Phase {
    /// It was not started yet.
    Waiting,
    /// It lives.
    Running {
        /// Its process id.
        pid: i32,
    },
    /// It has ended, or could not be started.
    Ended {
        /// Its exit code, as shells count.
        code: u8,
    },
}

/// The states of all commands, in the order of the configuration. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Board {
    states: watch::Sender<Vec<State>>,
    up: IntGaugeVec,
}

impl Board {
    /// All of them wait. Where there are any, each is a metric in `registry`, too, which is 1
    /// as long as it lives.
    ///
    /// # Errors
    /// Only if the name of the metric were taken.
    pub fn new(commands: &[Command], registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("a8_command_up", "1 while the supervised command lives");
        let up = IntGaugeVec::new(opts, &["command"])?;
        let mut names: Vec<_> = commands.iter().map(base).collect();
        number(names.iter_mut());
        let states = names.into_iter().map(|name| {
            up.with_label_values(&[&name]).set(0);
            let phase = Phase::Waiting;
            State { name, phase }
        });
        let states: Vec<_> = states.collect();
        if !states.is_empty() {
            registry.register(Box::new(up.clone()))?;
        }
        let states = watch::channel(states).0;
        Ok(Self { states, up })
    }

    /// What is to be shown.
    pub fn watch(&self) -> watch::Receiver<Vec<State>> {
        self.states.subscribe()
    }

    /// Says how the command `at` this place stands.
    pub(super) fn set(&self, at: usize, phase: Phase) {
        self.states.send_modify(|states| {
            let Some(state) = states.get_mut(at) else {
                return;
            };
            state.phase = phase;
            let lives = matches!(phase, Phase::Running { .. });
            let gauge = self.up.with_label_values(&[&state.name]);
            gauge.set(lives.into());
        });
    }
}

/// The last part of the path of its program.
fn base(command: &Command) -> String {
    match Path::new(&command.program).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => command.program.clone(),
    }
}

/// Tells names apart: of those that are alike the second gets `-2`, and so on.
pub fn number<'a>(names: impl Iterator<Item = &'a mut String>) {
    let mut taken = HashSet::new();
    for name in names {
        if taken.contains(name) {
            let mut numbered = (2..).map(|n| format!("{name}-{n}"));
            let free = numbered.find(|name| !taken.contains(name));
            *name = free.unwrap_or_default();
        }
        taken.insert(name.clone());
    }
}
