//! A process to supervise, and what its end means.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use a8_common::config::Secret;

/// What the end of a process means for the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExit {
    /// The sidecar ends, too, in its orderly way and with the same code.
    Terminate,
    /// Nothing.
    #[default]
    Ignore,
}

/// A process to supervise. It inherits environment, standard input and both outputs.
#[derive(Debug, Clone)]
pub struct Command {
    /// A path, or a name that is looked for in `PATH`.
    pub program: String,
    /// What the program is called with.
    pub args: Vec<String>,
    /// What is added to the environment, or takes the place of what is in it.
    pub env: Vec<(String, Secret)>,
    /// What its end means.
    pub on_exit: OnExit,
    /// Whether signals go to its whole process group, and not to itself alone.
    pub kill_group: bool,
    /// Whether it is given the terminal, where there is one.
    pub terminal: bool,
}

impl Command {
    /// The same for the system.
    pub(super) fn to_process(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        let env = self.env.iter();
        command
            .args(&self.args)
            .envs(env.map(|(name, value)| (name, value.expose())));
        command
    }
}

/// An exit status as one number, as shells count: the process's own code, or 128+n after a
/// signal n.
pub fn code(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|n| 128 + n);
    let number = status.code().or_else(signal);
    number.and_then(|n| u8::try_from(n).ok()).unwrap_or(u8::MAX)
}

/// What shells say of a program that cannot be started: 127 when there is none, 126 otherwise.
pub(super) fn code_of_failure(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}
