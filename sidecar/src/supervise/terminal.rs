//! The terminal, where there is one.
//!
//! Supervised processes have groups of their own, and the system stops a process that reads from
//! a terminal while another group has it. So a command that was typed there, after the flags, is
//! given the terminal for as long as it lives: it reads what is typed, and Ctrl-C is its own.

use std::io::stdin;

use nix::sys::signal::{self, SigSet, SigmaskHow};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use tracing::debug;

/// The terminal in the hands of another group; it comes back when this is dropped.
pub(super) struct Lent {
    to: Pid,
}

impl Lent {
    /// Gives the terminal to `group`, if standard input is one and is ours to give.
    pub(super) fn to(group: Pid) -> Option<Self> {
        if tcgetpgrp(stdin()).ok()? != getpgrp() {
            return None;
        }
        give(group)?;
        // It may have read before this, and was stopped for it.
        let _ = kill_process_group(group, Signal::CONT);
        Some(Self { to: group })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Somebody else may have taken it in the meantime, as shells do.
        if tcgetpgrp(stdin()).is_ok_and(|holder| holder == self.to) {
            give(getpgrp());
        }
    }
}

/// Who takes the terminal without having it is stopped, unless the signal for that is blocked.
fn give(group: Pid) -> Option<()> {
    let quiet = SigSet::from(signal::Signal::SIGTTOU);
    let before = quiet.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()?;
    let given = tcsetpgrp(stdin(), group);
    let _ = before.thread_set_mask();
    given
        .inspect_err(|e| debug!(error = %e, "the terminal stays where it is"))
        .ok()
}
