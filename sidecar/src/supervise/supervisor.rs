//! The supervised processes: from their start to the last one's end.

use std::sync::Arc;
use std::time::Duration;

use a8_common::task::{Stop, Tasks};
use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::board::{Board, Phase};
use super::command::{Command, OnExit, code, code_of_failure};
use super::reaper::{Child, Reaper};
use super::signals::Forwarded;
use super::terminal::Lent;

/// How long the system may take to end what is killed.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// A supervised process.
struct Process {
    program: String,
    child: Child,
    /// Its place on the board.
    at: usize,
    on_exit: OnExit,
    kill_group: bool,
}

impl Process {
    fn new(command: &Command, child: Child, at: usize) -> Self {
        Self {
            program: command.program.clone(),
            child,
            at,
            on_exit: command.on_exit,
            kill_group: command.kill_group,
        }
    }

    fn signal(&self, signal: Signal) {
        match self.kill_group {
            true => self.child.signal_group(signal),
            false => self.child.signal(signal),
        }
    }

    /// Waits until nothing is left that a signal would reach. Cancel-safe.
    async fn gone(&self) {
        self.child.wait().await;
        if self.kill_group {
            self.child.group_gone().await;
        }
    }

    /// Waits for its end, and says what it was.
    async fn follow(
        self: Arc<Self>,
        terminal: Option<Lent>,
        ended: Arc<watch::Sender<Option<u8>>>,
        board: Board,
    ) {
        let code = code(self.child.wait().await);
        drop(terminal);
        board.set(self.at, Phase::Ended { code });
        let (command, pid) = (&self.program, self.child.pid());
        info!(command, pid, code, "a command has ended");
        if self.on_exit == OnExit::Terminate {
            first(&ended, code);
        }
    }
}

/// The first code is the one that counts.
fn first(ended: &watch::Sender<Option<u8>>, code: u8) {
    ended.send_if_modified(|known| known.replace(known.unwrap_or(code)).is_none());
}

fn forward(processes: &[Arc<Process>], signal: Signal) {
    for process in processes {
        process.signal(signal);
    }
}

/// The owner of the supervised processes. Those that are left when it is dropped are killed.
pub struct Supervisor {
    processes: Arc<[Arc<Process>]>,
    /// The code of the first process to end whose end is that of the sidecar.
    ended: watch::Receiver<Option<u8>>,
}

impl Supervisor {
    /// Starts `commands`, and passes SIGHUP, SIGUSR1, SIGUSR2 and SIGWINCH on to them, as
    /// `tasks`, as long as these run. How they stand is said on `board`. What cannot be started has ended with 127 or 126: if it
    /// was to terminate the sidecar, no more are started.
    pub fn start(commands: &[Command], reaper: &Reaper, board: &Board, tasks: &Tasks) -> Self {
        let signals = match commands {
            [] => None,
            _ => Forwarded::listen()
                .inspect_err(|e| warn!(error = %e, "no signals are passed on to commands"))
                .ok(),
        };
        let (sender, ended) = watch::channel(None);
        let sender = Arc::new(sender);
        let mut processes = Vec::new();
        for (at, command) in commands.iter().enumerate() {
            let error = match reaper.spawn(command.to_process()) {
                Ok(child) => {
                    let pid = child.pid();
                    info!(command = command.program, pid, "a command was started");
                    board.set(at, Phase::Running { pid });
                    let terminal = command.terminal.then(|| Lent::to(child.group())).flatten();
                    let process = Arc::new(Process::new(command, child, at));
                    let follow = process
                        .clone()
                        .follow(terminal, sender.clone(), board.clone());
                    tasks.spawn("command", follow);
                    processes.push(process);
                    continue;
                }
                Err(error) => error,
            };
            let code = code_of_failure(&error);
            board.set(at, Phase::Ended { code });
            if command.on_exit == OnExit::Terminate {
                error!(command = command.program, %error, "a command cannot be started");
                first(&sender, code);
                break;
            }
            warn!(command = command.program, %error, "a command cannot be started");
        }
        let processes: Arc<[_]> = processes.into();
        if let Some(signals) = signals {
            let work = pass_on(processes.clone(), signals, tasks.stop().clone());
            tasks.spawn("forward", work);
        }
        Self { processes, ended }
    }

    /// Waits for the end of the first process whose end is that of the sidecar, and returns
    /// its code: its own, or 128+n after a signal n. Without such a process that is never.
    /// Cancel-safe.
    pub async fn ended(&self) -> u8 {
        let mut ended = self.ended.clone();
        let code = ended.wait_for(Option::is_some).await;
        match code.ok().and_then(|code| *code) {
            Some(code) => code,
            None => std::future::pending().await,
        }
    }

    /// Waits until all processes have ended. Cancel-safe.
    pub async fn gone(&self) {
        join_all(self.processes.iter().map(|process| process.gone())).await;
    }

    /// Passes a signal on to all processes, to their groups where that is asked for.
    pub fn forward(&self, signal: Signal) {
        forward(&self.processes, signal);
    }

    /// Ends all processes: they are sent `signal`, and after the grace those that are left
    /// are killed. The code of the first to end whose end is that of the sidecar is returned,
    /// if there is one.
    pub async fn stop(self, signal: Signal, grace: Duration) -> Option<u8> {
        self.forward(signal);
        if timeout(grace, self.gone()).await.is_err() {
            for process in self.processes.iter() {
                let (command, pid) = (&process.program, process.child.pid());
                if process.child.status().is_none() {
                    warn!(command, pid, "a command did not end in time, killed");
                }
            }
            self.forward(Signal::KILL);
            if timeout(LAST_GRACE, self.gone()).await.is_err() {
                warn!("there are processes that cannot be killed");
            }
        }
        let known = *self.ended.borrow();
        known.or_else(|| {
            // Their tasks may have had no time to say so.
            let mut all = self.processes.iter();
            all.find(|process| process.on_exit == OnExit::Terminate)
                .and_then(|process| process.child.status())
                .map(code)
        })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.forward(Signal::KILL);
    }
}

async fn pass_on(processes: Arc<[Arc<Process>]>, mut signals: Forwarded, stop: Stop) {
    while let Some(signal) = stop.race(signals.next()).await {
        debug!(signal = signal.as_raw(), "passing a signal on");
        forward(&processes, signal);
    }
}
