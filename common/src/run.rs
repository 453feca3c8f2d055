//! A process from its start to its exit code: what each `main.rs` is made of.
//!
//! ```no_run
//! # use a8_common::{config, http, run, task::Stop, telemetry};
//! # const COMPONENT: config::Component = config::Component {
//! #     name: "x", about: "", version: "", groups: &[&http::SETTINGS, &telemetry::SETTINGS],
//! #     health: http::PLACE, trailing: None,
//! # };
//! # async fn serve(_: telemetry::Config, _: Stop) -> Result<(), std::io::Error> { Ok(()) }
//! fn main() -> std::process::ExitCode {
//!     run::configure(&COMPONENT, telemetry::Config::read, |config| {
//!         telemetry::init(&config);
//!         run::until_stopped(|stop| serve(config, stop))
//!     })
//! }
//! ```

mod health;

use std::error::Error;
use std::future::Future;
use std::process::{ExitCode, Termination};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

pub use health::check_health;

use crate::config::{self, Component, Input, Settings};
use crate::manager;
use crate::task::Stop;

/// Reads the configuration of this process and hands it on; ends the process with the right
/// text and code when that is not possible or not asked for, as with `--check_health`.
pub fn configure<C>(
    component: &Component,
    read: impl FnOnce(&Settings) -> C,
    then: impl FnOnce(C) -> ExitCode,
) -> ExitCode {
    match config::start(component, &Input::from_process(), read) {
        Ok(config) => {
            manager::begin();
            then(config)
        }
        Err(exit) => match exit.question() {
            Some(question) => check_health(question),
            None => exit.report(),
        },
    }
}

/// Runs `work` on a multi-threaded runtime until it ends. The first SIGTERM, SIGINT or SIGQUIT
/// fires its stop signal, a second one ends the process at once.
///
/// The exit code is 0 when `work` succeeded, or the code that it returned, 1 when it failed,
/// 128+n after a second signal n.
pub fn until_stopped<F, W, T, E>(work: F) -> ExitCode
where
    F: FnOnce(Stop) -> W,
    W: Future<Output = Result<T, E>>,
    T: Termination,
    E: Error + 'static,
{
    until_stopped_on(&mut Builder::new_multi_thread(), work)
}

/// Does the same as [`until_stopped`] on a runtime of the caller's choice.
pub fn until_stopped_on<F, W, T, E>(runtime: &mut Builder, work: F) -> ExitCode
where
    F: FnOnce(Stop) -> W,
    W: Future<Output = Result<T, E>>,
    T: Termination,
    E: Error + 'static,
{
    raise_open_files();
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            error!(error = %e, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(with_signals(work));
    // What still blocks a thread now has had its grace.
    runtime.shutdown_background();
    code
}

/// Allows as many open files as the system lets this process have. The usual soft limit of
/// 1,024 is for programs that use `select`, and would be a limit of connections here.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        warn!(error = %e, limit = limit.current, "the limit of open files stays as it is");
    }
}

async fn with_signals<F, W, T, E>(work: F) -> ExitCode
where
    F: FnOnce(Stop) -> W,
    W: Future<Output = Result<T, E>>,
    T: Termination,
    E: Error + 'static,
{
    let stop = Stop::new();
    let mut work = std::pin::pin!(work(stop.clone()));
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(e) => {
            error!(error = %e, "cannot listen for signals");
            return ExitCode::FAILURE;
        }
    };
    loop {
        tokio::select! {
            ended = &mut work => return exit_code(ended),
            number = signals.next() => {
                if stop.fired() {
                    warn!("second signal, ending at once");
                    return ExitCode::from(128 + number);
                }
                info!(signal = number, "stopping");
                manager::stopping();
                stop.fire();
            }
        }
    }
}

fn exit_code<T: Termination, E: Error + 'static>(ended: Result<T, E>) -> ExitCode {
    match ended {
        Ok(outcome) => outcome.report(),
        Err(e) => {
            error!(error = %chain(&e), "failed");
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, as one line. Some errors tell their cause themselves: it is said once.
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |e| (*e).source());
    let causes = causes.map(|cause| cause.to_string());
    causes.fold(error.to_string(), |line, cause| {
        match line.contains(&cause) {
            true => line,
            false => format!("{line}: {cause}"),
        }
    })
}

/// The first bytes of a text, at most so many, at the end of a letter. What is cut off is told.
pub fn shortened(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The number of the next signal. Cancel-safe.
    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
            _ = self.quit.recv() => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    fn code<T: Termination>(ended: Result<T, std::io::Error>) -> ExitCode {
        until_stopped(|_| async { ended })
    }

    #[test]
    fn the_exit_code_is_that_of_the_work() {
        assert_eq!(code(Ok(())), ExitCode::SUCCESS);
        assert_eq!(code(Ok(ExitCode::from(7))), ExitCode::from(7));
        let failed = code::<()>(Err(std::io::Error::other("no")));
        assert_eq!(failed, ExitCode::FAILURE);
    }

    /// Signals reach the whole process, so this is one test.
    #[test]
    fn the_first_signal_stops_and_the_second_ends() {
        let signal = |signal| kill_process(getpid(), signal).expect("to this process");
        let polite = until_stopped(async |stop| {
            signal(Signal::TERM);
            stop.wait().await;
            Ok::<_, std::io::Error>(())
        });
        assert_eq!(polite, ExitCode::SUCCESS);
        let stubborn = until_stopped(async |stop| {
            signal(Signal::TERM);
            stop.wait().await;
            signal(Signal::INT);
            std::future::pending::<Result<(), std::io::Error>>().await
        });
        assert_eq!(stubborn, ExitCode::from(130));
        let quits = until_stopped(async |stop| {
            signal(Signal::QUIT);
            stop.wait().await;
            signal(Signal::QUIT);
            std::future::pending::<Result<(), std::io::Error>>().await
        });
        assert_eq!(quits, ExitCode::from(131));
    }
}
