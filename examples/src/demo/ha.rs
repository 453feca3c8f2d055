//! The demo of high availability: a steady load and a table, while a member of the etcd, a
//! registry and a controller die in turn, and rules change all the same.

use std::time::{Duration, Instant};

use a8_common::rule::Rule;
use a8_common::task::Stop;
use tokio::time::{interval, sleep};

use super::control::Controller;
use super::fabric::{Control, Fabric};
use super::helloworld::INSTANCES;
use super::load::Load;
use super::processes::Processes;
use super::screen::say;
use super::table::{self, milliseconds};
use super::{Error, Options};
use crate::rules;

/// How long a change may take to be in effect, elections included.
const PATIENCE: Duration = Duration::from_secs(20);

/// The two splits that take turns.
const SPLITS: [(&str, &str); 2] = [
    ("a quarter to v2", "helloworld-v1-v2-route-rules.json"),
    ("half to v2", "helloworld-half-route-rules.yaml"),
];

/// Who dies.
enum Victim {
    Leader,
    Process(&'static str),
}

/// Runs the demo: each death lasts for `step`, and as long is there peace.
///
/// # Errors
/// When something does not start, ends by itself, or when a request failed.
pub async fn run(options: &Options, step: Duration, stop: &Stop) -> Result<(), Error> {
    say("Amalgam8 demo: helloworld over three etcd, two registries and two controllers");
    let control = Control::Doubled;
    super::run_on(
        options,
        &INSTANCES,
        control,
        stop,
        async |fabric, processes| {
            let url = format!("{}/helloworld/hello", fabric.gateway_url);
            let load = Load::start(&fabric.http, &url);
            let mut tour = Tour {
                fabric,
                load,
                processes,
                step,
                changes: 0,
            };
            tour.run().await
        },
    )
    .await
}

struct Tour<'a> {
    fabric: Fabric,
    load: Load,
    processes: &'a mut Processes,
    step: Duration,
    changes: usize,
}

impl Tour<'_> {
    async fn run(&mut self) -> Result<(), Error> {
        say(format_args!("\n  {}\n", self.fabric.shell));
        self.change().await?;
        self.watch().await?;
        for victim in [
            Victim::Leader,
            Victim::Process("registry"),
            Victim::Process("controller"),
        ] {
            self.kill(victim).await?;
        }
        let totals = self.load.totals();
        say(format_args!(
            "\n{} requests, {} failed.",
            totals.all, totals.failed
        ));
        match totals.failed {
            0 => Ok(()),
            failed => Err(Error::Requests {
                failed,
                all: totals.all,
            }),
        }
    }

    async fn kill(&mut self, victim: Victim) -> Result<(), Error> {
        let (name, what) = match victim {
            Victim::Process(name) => (name, ""),
            Victim::Leader => (self.leader().await?, ", the leader"),
        };
        say(format_args!("\nkill -9 {name}{what}"));
        let dead = self.processes.kill(name).await;
        self.change().await?;
        self.watch().await?;
        if let Some(dead) = dead {
            self.processes.revive(dead)?;
        }
        say(format_args!("{name} is started again"));
        self.change().await?;
        self.watch().await
    }

    async fn leader(&self) -> Result<&'static str, Error> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(etcd) = &self.fabric.etcd
                && let Some(leader) = etcd.leader().await
            {
                return Ok(leader);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(Error::Control {
            what: "asking etcd for its leader".to_owned(),
            why: "no member leads".to_owned(),
        })
    }

    /// Changes the split at whichever controller takes it, and waits until the gateway goes
    /// by it.
    async fn change(&mut self) -> Result<(), Error> {
        let (title, file) = SPLITS[self.changes % SPLITS.len()];
        self.changes += 1;
        let began = Instant::now();
        let revision = self.write(&rules::load(file)?).await?;
        let written = began.elapsed();
        while self.fabric.gateway.rules_revision().await < Some(revision) {
            if began.elapsed() > PATIENCE {
                return Err(Error::Control {
                    what: "waiting for the new rules at the gateway".to_owned(),
                    why: format!("revision {revision} does not come"),
                });
            }
            sleep(Duration::from_millis(1)).await;
        }
        let took = began.elapsed();
        say(format_args!(
            "   {title}: stored after {}, in effect {} later",
            milliseconds(written),
            milliseconds(took - written)
        ));
        self.load.restart();
        Ok(())
    }

    /// Writes at the first controller that takes it; the revision that came of it, or a later
    /// one.
    async fn write(&self, rules: &[Rule]) -> Result<u64, Error> {
        let began = Instant::now();
        loop {
            let mut failed = None;
            for controller in self.controllers() {
                let written = async {
                    controller.create(rules).await?;
                    controller.revision().await
                };
                match written.await {
                    Ok(revision) => return Ok(revision),
                    Err(e) => failed = Some(e),
                }
            }
            match failed {
                Some(e) if began.elapsed() > PATIENCE => return Err(e),
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn controllers(&self) -> impl Iterator<Item = &Controller> {
        [&self.fabric.controller]
            .into_iter()
            .chain(&self.fabric.other_controller)
    }

    /// Shows what happens for a while.
    async fn watch(&mut self) -> Result<(), Error> {
        let mut tick = interval(Duration::from_secs(1));
        tick.tick().await;
        let shown = async {
            for _ in 0..self.step.as_secs().max(1) {
                tick.tick().await;
                let (figures, totals) = (self.load.figures(), self.load.totals());
                let line = table::short(&figures);
                say(format_args!("   {line}  failed so far: {}", totals.failed));
            }
        };
        tokio::select! {
            () = shown => Ok(()),
            failure = self.processes.first_end() => Err(failure),
        }
    }
}
