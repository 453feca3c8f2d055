//! Whether the service beside the sidecar is well, as checks of it say.
//!
//! All checks must hold. Until each has held once the service is starting: they are made often,
//! and the first success of each counts. Then a check that fails takes the service out at once,
//! and it comes back when all hold again; where that happens time and again, each has to hold
//! several times in a row first.
//!
//! | module | owns |
//! |---|---|
//! | `probe` | one attempt: a request, a connection, a command |
//! | `damper` | how often a check has to hold to be believed |

mod damper;
mod probe;

use std::path::PathBuf;
use std::time::Duration;

use a8_common::http::Condition;
use a8_common::peer;
use a8_common::task::{Tasks, jittered};
use http::{Method, StatusCode};
use prometheus::{IntGaugeVec, Opts, Registry};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::supervise::Reaper;
use damper::Damper;
use probe::Probe;

/// The longest pause between attempts until a check holds.
const EAGER: Duration = Duration::from_secs(1);

/// One check.
#[derive(Debug, Clone)]
pub struct Check {
    /// What it is called in logs and metrics, without secrets.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The pause between two attempts.
    pub interval: Duration,
    /// An attempt that takes longer has failed.
    pub timeout: Duration,
}

/// What a check does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Makes a request.
    Http {
        /// Where.
        url: String,
        /// How.
        method: Method,
        /// The status that is well.
        code: StatusCode,
        /// The only authorities to trust, in PEM; without it those of the system.
        ca_cert_file: Option<PathBuf>,
    },
    /// Makes a connection.
    Tcp {
        /// `host:port`
        address: String,
    },
    /// Runs a command.
    Command {
        /// What to run, by its path or found by `PATH`.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// The exit code that is well.
        code: i32,
    },
}

/// How the service is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether it may be sent requests.
    pub up: bool,
    /// Each check, in the order of the configuration.
    pub checks: Vec<State>,
}

/// How a check stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Whether it holds; unknown until it was made once.
    pub up: Option<bool>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Starts `checks` as tasks. Without any the service is up.
///
/// # Errors
/// When the certificates of a check cannot be used.
pub fn start(
    checks: &[Check],
    reaper: &Reaper,
    tasks: &Tasks,
) -> Result<watch::Receiver<Report>, peer::OpenError> {
    let begun = Report {
        up: checks.is_empty(),
        checks: checks.iter().map(State::begun).collect(),
    };
    let (report, told) = watch::channel(begun);
    for (at, check) in checks.iter().enumerate() {
        let keeper = Keeper {
            at,
            probe: Probe::new(&check.kind, reaper)?,
            check: check.clone(),
            report: report.clone(),
        };
        let stop = tasks.stop().clone();
        tasks.spawn("health", async move {
            stop.race(keeper.run()).await;
        });
    }
    Ok(told)
}

/// Shows the checks: each as a metric, which is 1 when it holds, and all as a condition of
/// readiness.
///
/// # Errors
/// Only if the name of the metric were taken.
pub fn show(
    mut report: watch::Receiver<Report>,
    condition: Condition,
    registry: &Registry,
    tasks: &Tasks,
) -> Result<(), prometheus::Error> {
    let opts = Opts::new(
        "a8_health_check_up",
        "1 when the check of the service holds",
    );
    let gauges = IntGaugeVec::new(opts, &["check"])?;
    registry.register(Box::new(gauges.clone()))?;
    let stop = tasks.stop().clone();
    tasks.spawn("health-shown", async move {
        loop {
            let now = report.borrow_and_update().clone();
            for check in &now.checks {
                let up = check.up == Some(true);
                gauges.with_label_values(&[&check.name]).set(up.into());
            }
            match now.failing() {
                Some(why) => condition.bad(why),
                None if now.up => condition.good(),
                None => {}
            }
            if !matches!(stop.race(report.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    });
    Ok(())
}

impl Report {
    /// The first check that fails, and why.
    fn failing(&self) -> Option<String> {
        self.checks.iter().find_map(|check| {
            let problem = check.problem.as_ref().filter(|_| check.up == Some(false))?;
            Some(format!("{}: {problem}", check.name))
        })
    }
}

impl State {
    fn begun(check: &Check) -> Self {
        Self {
            name: check.name.clone(),
            ..Self::default()
        }
    }
}

/// Makes one check, again and again.
struct Keeper {
    at: usize,
    check: Check,
    probe: Probe,
    report: watch::Sender<Report>,
}

impl Keeper {
    async fn run(self) {
        let mut damper = Damper::default();
        loop {
            let outcome = match timeout(self.check.timeout, self.probe.attempt()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no answer within {:?}", self.check.timeout)),
            };
            let up = damper.is_up(outcome.is_ok());
            self.tell(up, outcome.err());
            let pause = match up {
                true => self.check.interval,
                false => self.check.interval.min(EAGER),
            };
            sleep(jittered(pause)).await;
        }
    }

    fn tell(&self, up: bool, problem: Option<String>) {
        let name = &self.check.name;
        self.report.send_if_modified(|report| {
            let before = report.clone();
            let state = &mut report.checks[self.at];
            state.up = Some(up);
            state.problem = problem;
            match (before.checks[self.at].up, up, &state.problem) {
                (Some(true), false, Some(problem)) => warn!(check = name, problem, "not well"),
                (None, false, Some(problem)) => info!(check = name, problem, "not well yet"),
                (None | Some(false), true, _) => info!(check = name, "well"),
                _ => {}
            }
            report.up = report.checks.iter().all(|check| check.up == Some(true));
            *report != before
        });
    }
}

#[cfg(test)]
mod tests;
