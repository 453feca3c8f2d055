//! The supervised processes in the life of the sidecar: when they start, and when they end.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use a8_common::task::{Stop, Tasks};
use prometheus::Registry;
use tokio::time::Instant;
use tracing::{info, warn};

use super::StartError;
use crate::config::Config;
use crate::proxy::Proxy;
use crate::supervise::{Board, Command, Interrupts, OnExit, Reaper, Supervisor, code};

/// How long calls may go on that are in flight when the last process has ended, where the
/// time for all of them is over.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The supervised processes, from before their start to their end.
pub(super) struct Applications {
    commands: Vec<Command>,
    /// Fires when they are started, at once where there are none.
    started: Stop,
    board: Board,
    stop_grace: Duration,
    reaper: Reaper,
    interrupts: Interrupts,
    tasks: Tasks,
    /// Once they are started.
    supervisor: Option<Supervisor>,
}

impl Applications {
    /// Prepares what `config` asks for, with a reaper that runs as one of `tasks` also when
    /// that is nothing: the first process of a container inherits children. They are metrics of
    /// `registry`.
    ///
    /// # Errors
    /// Signals cannot be listened for.
    pub(super) fn new(
        config: &Config,
        registry: &Registry,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let started = Stop::new();
        if config.commands.is_empty() {
            started.fire();
        }
        Ok(Self {
            commands: config.commands.clone(),
            started,
            board: Board::new(&config.commands, registry)?,
            stop_grace: config.stop_grace,
            reaper: Reaper::start(tasks).map_err(StartError::Signals)?,
            interrupts: Interrupts::listen().map_err(StartError::Signals)?,
            tasks: tasks.clone(),
            supervisor: None,
        })
    }

    /// What starts and reaps all children, these and others.
    pub(super) fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// Whether there are any to be supervised.
    pub(super) fn any(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Whether the end of one of them is that of the sidecar.
    fn decide(&self) -> bool {
        let mut commands = self.commands.iter();
        commands.any(|command| command.on_exit == OnExit::Terminate)
    }

    /// Fires when they are started, at once where there are none.
    pub(super) fn started(&self) -> &Stop {
        &self.started
    }

    /// How they stand.
    pub(super) fn board(&self) -> &Board {
        &self.board
    }

    /// Starts them, and waits for the end of the first whose end is that of the sidecar.
    /// Returns its code.
    ///
    /// Cancel-safe: what was started goes on.
    pub(super) async fn run(&mut self) -> u8 {
        if !self.any() {
            return std::future::pending().await;
        }
        let Self {
            commands,
            started,
            reaper,
            board,
            tasks,
            ..
        } = self;
        let supervisor = Supervisor::start(commands, reaper, board, tasks);
        started.fire();
        self.supervisor.insert(supervisor).ended().await
    }

    /// Ends the processes, and with the last one the proxy: their way out is open until they
    /// are gone. Their calls may take `drain_timeout` before they are told to end, what is in
    /// flight after them what is left of that. Returns the code of the first process to end
    /// whose end is that of the sidecar, if there is one. Where none was started yet it is as if
    /// the signal had ended it: that nothing ran is no success.
    pub(super) async fn end(mut self, proxy: Option<Proxy>, drain_timeout: Duration) -> Option<u8> {
        let signal = self.interrupts.stopping();
        let mut left = drain_timeout;
        let decides = self.decide();
        let mut last = None;
        if let Some(supervisor) = self.supervisor {
            if let Some(proxy) = &proxy {
                let began = Instant::now();
                tokio::select! {
                    () = proxy.quiet(drain_timeout) => {}
                    () = supervisor.gone() => {}
                }
                left = drain_timeout.saturating_sub(began.elapsed());
                left = left.max(LAST_CALLS.min(drain_timeout));
            }
            info!(signal = signal.as_raw(), "ending the commands");
            last = supervisor.stop(signal, self.stop_grace).await;
        } else if decides {
            warn!(
                signal = signal.as_raw(),
                "stopped before the commands were started"
            );
            last = Some(code(ExitStatus::from_raw(signal.as_raw())));
        }
        if let Some(proxy) = proxy {
            proxy.drain(left).await;
        }
        last
    }
}
