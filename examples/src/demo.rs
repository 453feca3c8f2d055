//! The one-command demos: the whole fabric on this machine, on loopback, for as long as it runs.
//!
//! | module | owns |
//! |---|---|
//! | [`helloworld`], [`bookinfo`], [`ha`] | one demo each, from start to end |
//! | [`kubernetes`] | bookinfo on a cluster, from its installation to its removal |
//! | [`walk`], [`place`] | the documented walk through bookinfo, with a verdict for each step |
//! | [`etcd`] | an etcd of three members below the control plane |
//! | [`fabric`] | which processes a demo is made of, and when they are ready |
//! | [`processes`], [`child`] | starting them, noticing their end, ending them |
//! | [`ports`] | finding free ports, and saying which is taken |
//! | [`control`] | the controller's API and the sidecars' admin API, as far as needed |
//! | [`load`], [`tally`] | making requests, and counting where they went |
//! | [`screen`], [`table`] | showing it |
//!
//! The binary `demo` reads flags and calls one of the two demos.

pub mod bookinfo;
pub mod child;
mod control;
mod etcd;
mod fabric;
pub mod ha;
pub mod helloworld;
pub mod kubernetes;
mod load;
mod place;
mod ports;
mod processes;
mod screen;
mod table;
mod tally;
mod walk;

use std::io;
use std::path::PathBuf;

use a8_common::run::chain;
use a8_common::task::Stop;

use crate::rules::LoadError;
use fabric::Fabric;
use processes::Processes;

pub use fabric::Options;

/// Why a demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something else has a port that the demo shows to its user.
    #[error(
        "port {port} is in use, which the demo needs for the {what}: \
         end what listens there, or set {variable} to another port"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// What listens there.
        what: &'static str,
        /// The environment variable that chooses another.
        variable: &'static str,
    },
    /// No port for something that needs any.
    #[error("no free port above {above}")]
    NoPort {
        /// Where the search began.
        above: u16,
    },
    /// A program is not where it should be.
    #[error("{0} is not there; `make demo` builds all that is needed")]
    NotBuilt(PathBuf),
    /// A process could not be started, or its files not be written.
    #[error("cannot start {name}")]
    Start {
        /// The process.
        name: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A process ended by itself.
    #[error("{name} ended: {how}{log}")]
    Ended {
        /// The process.
        name: String,
        /// Its exit status.
        how: String,
        /// The last lines of its log and where the whole is, as text.
        log: String,
    },
    /// A process lives and does not get ready.
    #[error("{name} is not ready after {seconds} s: {last}{log}")]
    NotReady {
        /// The process.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// What it last answered.
        last: String,
        /// The last lines of its log and where the whole is, as text.
        log: String,
    },
    /// The control plane did not do what it was asked.
    #[error("{what} failed: {why}")]
    Control {
        /// What was asked.
        what: String,
        /// What came back.
        why: String,
    },
    /// There is no cluster, or none that would do.
    #[error("no cluster to run the demo on: {0}")]
    NoCluster(String),
    /// Nobody said how images come to the nodes.
    #[error(
        "it is not known how images come to the nodes of the context {0}: \
         say --load-command COMMAND, --image-prefix REGISTRY/ for pushed ones, or --images-present"
    )]
    Images(String),
    /// A rule file that came with the demo is broken.
    #[error("bad rule file")]
    Rules(#[from] LoadError),
    /// A program that the system is to have is not there.
    #[error("{0} is not there; `make demo.ha` installs it where it can")]
    NotInstalled(&'static str),
    /// Requests failed that should not have.
    #[error("{failed} of {all} requests failed")]
    Requests {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// The walk was stopped before its end, so there is no verdict.
    #[error("stopped before the end")]
    Interrupted,
    /// The walk found something that is not as documented.
    #[error("{failed} of {steps} steps failed")]
    Walk {
        /// How many failed.
        failed: usize,
        /// Of how many.
        steps: usize,
    },
}

/// Starts `instances` on a fabric, runs `demo` on it until that ends or `stop` fires, and ends
/// everything. A failure is told to the user before it is returned.
async fn run(
    options: &Options,
    instances: &[fabric::Instance],
    stop: &Stop,
    demo: impl AsyncFnOnce(Fabric) -> Result<(), Error>,
) -> Result<(), Error> {
    let control = fabric::Control::Plain;
    run_on(
        options,
        instances,
        control,
        stop,
        async |fabric, processes| {
            tokio::select! {
                ended = demo(fabric) => ended,
                failure = processes.first_end() => Err(failure),
            }
        },
    )
    .await
}

/// As [`run`], for a demo that ends processes itself.
async fn run_on(
    options: &Options,
    instances: &[fabric::Instance],
    control: fabric::Control,
    stop: &Stop,
    demo: impl AsyncFnOnce(Fabric, &mut Processes) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut processes = Processes::new()?;
    let whole = async {
        let fabric = fabric::start(options, instances, control, &mut processes).await?;
        demo(fabric, &mut processes).await
    };
    let outcome = stop.race(whole).await.unwrap_or(Ok(()));
    if let Err(error) = &outcome {
        eprintln!("\ndemo: {}", chain(error));
    }
    let logs_matter = matches!(outcome, Err(Error::Ended { .. } | Error::NotReady { .. }));
    processes.end(logs_matter).await;
    outcome
}
