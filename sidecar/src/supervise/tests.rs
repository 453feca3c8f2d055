//! Over real processes. Children are a whole process's, and so are its open files: each test
//! runs in a process of its own, which is this test binary again.

use std::path::Path;
use std::process::Command;

use a8_common::task::{Stop, Tasks};
use tempfile::TempDir;

use super::{Child, Reaper};
use crate::testkit::{DEADLINE, eventually};

mod reaping;
mod supervising;

/// Puts the process into a process id space of its own, as its first process.
const AS_INIT: [&str; 6] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--mount-proc",
];

/// A reaper at work, and a folder for what processes have to say.
struct Ground {
    reaper: Reaper,
    tasks: Tasks,
    folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        let tasks = Tasks::new(Stop::new());
        Self {
            reaper: Reaper::start(&tasks).unwrap(),
            tasks,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// A shell in the folder.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).current_dir(&self.folder);
        command
    }

    fn spawn(&self, script: &str) -> Child {
        self.reaper.spawn(self.shell(script)).unwrap()
    }

    fn write(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    /// What a file says; empty when it is not there.
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Waits until a file says `text`.
    async fn says(&self, name: &str, text: &str) {
        eventually(async || self.read(name).trim() == text).await;
    }

    /// Waits until a file holds the id of a process, and returns that.
    async fn pid(&self, name: &str) -> i32 {
        eventually(async || self.read(name).ends_with('\n')).await;
        self.read(name).trim().parse().unwrap()
    }
}

/// Who the parent of a process is; `None` when there is no such process. A process that has
/// ended and was not reaped has a parent.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The children of this process.
fn children() -> Vec<i32> {
    let me = std::process::id().cast_signed();
    let names = std::fs::read_dir("/proc").unwrap();
    let pids = names.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(me)).collect()
}

/// Waits until there is no child, neither one that runs nor one that was not reaped.
async fn no_child_left() {
    eventually(async || children().is_empty()).await;
}

/// How many files this process has open.
fn open_files() -> usize {
    std::fs::read_dir(Path::new("/proc/self/fd"))
        .unwrap()
        .count()
}
