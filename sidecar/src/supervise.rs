//! Processes beside the sidecar: the applications that it starts, passes signals on to and
//! ends, and whatever else becomes a child of it.
//!
//! | module | owns |
//! |---|---|
//! | `reaper` | every child process, from its start to its exit status |
//! | `command` | what is to be supervised |
//! | `supervisor` | the supervised processes, until the last of them is gone |
//! | `board` | how they stand |
//! | `terminal` | who may read from it |
//! | `tree` | who has started whom |
//! | `signals` | the signals that are passed on |
//!
//! [`app`](crate::app) decides when the processes are started and when they are to end.

mod board;
mod command;
mod reaper;
mod signals;
mod supervisor;
mod terminal;
mod tree;

pub use board::{Board, Phase, State, number};
pub use command::{Command, OnExit, code};
pub use reaper::{Child, Reaper};
pub use signals::Interrupts;
pub use supervisor::Supervisor;

#[cfg(test)]
mod tests;
