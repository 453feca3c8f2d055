//! Programs of others: what `make test` installs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Process, binary};

/// Where servers lie for those whose PATH does not say.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Where a program is installed, if it is.
#[expect(
    clippy::disallowed_methods,
    reason = "where programs are is no configuration of ours"
)]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(MORE.map(PathBuf::from));
    folders.map(|f| f.join(name)).find(|p| p.is_file())
}

/// A command that runs the installed program `name`.
///
/// # Panics
/// When it is not installed.
pub fn program(name: &str) -> Command {
    let found = find(name);
    let mut command = Command::new(
        found.unwrap_or_else(|| panic!("{name} is not installed: run `make test`, which does it")),
    );
    // What the tester's shell says must not send requests elsewhere.
    command.env_clear().stdin(Stdio::null());
    command
}

/// A command that runs `script` of the folder of peers in Python.
///
/// # Panics
/// When there is no Python with the packages of the peers.
pub fn python(script: &str) -> Command {
    let target = binary("a8sidecar");
    let python = target
        .ancestors()
        .map(|f| f.join("peers-venv/bin/python"))
        .find(|p| p.exists())
        .unwrap_or_else(|| panic!("target/peers-venv is missing: run `make test`, which makes it"));
    let mut command = Command::new(python);
    command
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("peers")
                .join(script),
        )
        .env_clear()
        .env("PYTHONUNBUFFERED", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

/// Starts a server, which is killed when dropped.
pub fn serve(name: &str, command: Command) -> Process {
    Process::spawn(name, command)
}
