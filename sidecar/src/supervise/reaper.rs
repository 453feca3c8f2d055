//! The one owner of all child processes: it starts them, learns of their exits, and reaps
//! whatever else ends as a child of this process.
//!
//! The system hands exits out once, to whoever asks first, and lets a process id be used
//! again as soon as that has happened. So all of it goes through one table: who starts a
//! process holds its lock until the process is known, who reaps or sends a signal holds it,
//! too. No other part may wait for children, neither by `std::process` nor by
//! `tokio::process`: it would lose exits to the reaper, and take away others'.
//!
//! Processes whose parents have ended come to the first process of a container, or else to
//! the nearest process above that asked for them. The reaper asks.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use a8_common::manager;
use a8_common::task::{Stop, Tasks};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper,
    test_kill_process_group, wait,
};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::tree;

/// How often a group is looked at whose processes may be reaped by others.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
struct Table {
    /// Those that have not been reaped: their ids are theirs.
    children: HashMap<Pid, watch::Sender<Option<ExitStatus>>>,
    /// Groups that have outlived their first process, while somebody holds its [`Child`].
    /// As long as such a group has a process its id is not used again.
    groups: HashSet<Pid>,
}

impl Table {
    fn reaped(&mut self, pid: Pid, status: ExitStatus) {
        let Some(exit) = self.children.remove(&pid) else {
            debug!(pid = pid.as_raw_pid(), %status, "an orphan has ended");
            return;
        };
        if exit.receiver_count() > 0 {
            self.groups.insert(pid);
        }
        exit.send_replace(Some(status));
    }

    /// Whether there is a process in the group of this child.
    fn has_group(&self, pid: Pid) -> bool {
        (self.children.contains_key(&pid) || self.groups.contains(&pid)) && exists(pid)
    }
}

fn exists(group: Pid) -> bool {
    test_kill_process_group(group) != Err(Errno::SRCH)
}

/// The owner of all children. There must be one in a process only; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Reaper {
    table: Arc<Mutex<Table>>,
    /// Told after each round of reaping.
    reaped: Arc<Notify>,
}

impl Reaper {
    /// Begins to reap, as one of `tasks`: nobody learns of exits once these have ended.
    ///
    /// # Errors
    /// SIGCHLD cannot be listened for.
    pub fn start(tasks: &Tasks) -> io::Result<Self> {
        let exits = signal(SignalKind::child())?;
        let me = getpid();
        if !me.is_init()
            && let Err(e) = set_child_subreaper(Some(me))
        {
            warn!(error = %e, "children of children are left to others when these end");
        }
        let reaper = Self::default();
        let work = reaper.clone().run(exits, tasks.stop().clone());
        tasks.spawn("reaper", work);
        Ok(reaper)
    }

    async fn run(self, mut exits: unix::Signal, stop: Stop) {
        loop {
            // Several exits may be told by one signal, and some by one before the first.
            self.reap();
            if stop.race(exits.recv()).await.flatten().is_none() {
                return;
            }
        }
    }

    fn reap(&self) {
        let mut table = self.lock();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => table.reaped(pid, ExitStatus::from_raw(status.as_raw())),
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => break,
            }
        }
        table.groups.retain(|group| exists(*group));
        drop(table);
        self.reaped.notify_waiters();
    }

    /// Starts a process, in a process group of its own. Pipes to it are closed: it inherits
    /// its files or is given files. Blocks until the program is loaded.
    ///
    /// # Errors
    /// Those of [`std::process::Command::spawn`].
    pub fn spawn(&self, mut command: std::process::Command) -> io::Result<Child> {
        command.process_group(0);
        // What the service manager says to us is nothing to others.
        for variable in manager::VARIABLES {
            command.env_remove(variable);
        }
        let (exit, status) = watch::channel(None);
        // Also for what std does by itself: it waits for a child that could not load its
        // program.
        let mut table = self.lock();
        let pid = Pid::from_child(&command.spawn()?);
        table.children.insert(pid, exit);
        drop(table);
        Ok(Child {
            pid,
            status,
            reaper: self.clone(),
        })
    }

    /// How many children and groups it remembers.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        let table = self.lock();
        table.children.len() + table.groups.len()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that the [`Reaper`] has started. It goes on when this is dropped, and is reaped
/// at its end all the same.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    status: watch::Receiver<Option<ExitStatus>>,
    reaper: Reaper,
}

impl Child {
    /// Its process id, which is that of its group, too.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Its process group.
    pub(super) fn group(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    /// Waits for its end; then returns at once, as often as it is asked. Cancel-safe.
    pub async fn wait(&self) -> ExitStatus {
        let mut status = self.status.clone();
        let ended = status.wait_for(Option::is_some).await;
        match ended.ok().and_then(|status| *status) {
            Some(status) => status,
            // The table keeps the sender until it has sent.
            None => std::future::pending().await,
        }
    }

    /// Waits until no process of its group is left. Cancel-safe.
    pub async fn group_gone(&self) {
        loop {
            let reaped = self.reaper.reaped.notified();
            if !self.reaper.lock().has_group(self.pid) {
                return;
            }
            // We are not told of those that have another parent.
            let _ = timeout(LOOK_EVERY, reaped).await;
        }
    }

    /// Sends it a signal; does nothing when it has ended.
    pub fn signal(&self, signal: Signal) {
        let table = self.reaper.lock();
        if table.children.contains_key(&self.pid) {
            self.tell(signal, kill_process(self.pid, signal));
        }
    }

    /// Sends a signal to all processes of its group, also when itself has ended.
    pub fn signal_group(&self, signal: Signal) {
        let table = self.reaper.lock();
        if table.has_group(self.pid) {
            self.tell(signal, kill_process_group(self.pid, signal));
        }
    }

    /// Kills all processes of its group, and those that they have started and that still have
    /// their parents, in whatever group these are.
    pub fn kill_tree(&self) {
        let table = self.reaper.lock();
        if !table.has_group(self.pid) {
            return;
        }
        // Before their parents end: then nothing tells any more whose they were.
        let others = tree::started_by(self.pid);
        self.tell(Signal::KILL, kill_process_group(self.pid, Signal::KILL));
        for other in others {
            self.tell(Signal::KILL, kill_process(other, Signal::KILL));
        }
    }

    fn tell(&self, signal: Signal, sent: rustix::io::Result<()>) {
        if let Err(e) = sent
            && e != Errno::SRCH
        {
            let (pid, signal) = (self.pid(), signal.as_raw());
            warn!(pid, signal, error = %e, "a process cannot be sent a signal");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Whether it is there or not: nobody asks for it any more.
        self.reaper.lock().groups.remove(&self.pid);
    }
}
