//! Turning a process into one of the demo's children: it dies with the demo, however that ends.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes the program in `words`, which the kernel ends when `parent` is gone, even by SIGKILL.
///
/// The demo starts each process as itself with the subcommand `child`, which ends up here. That
/// way no code has to run between fork and exec. Returns only when it fails.
pub fn become_child(parent: u32, words: &[String]) -> io::Error {
    let Some((program, arguments)) = words.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no program given");
    };
    if let Err(e) = die_with(parent) {
        return e;
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> io::Result<()> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have gone before the signal was asked for.
    let now = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return Err(io::Error::other("the demo has ended"));
    }
    Ok(())
}

/// Elsewhere the demo ends its children itself, unless it is killed outright.
#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> io::Result<()> {
    Ok(())
}
