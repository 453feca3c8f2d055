//! Two registries and two controllers over one etcd, under load, while one after the other of
//! all these dies, hangs or is cut off. At the end nothing that was acknowledged may be
//! missing, nothing deleted be back, no instance that kept sending heartbeats have gone at any
//! moment, and every watcher must have come to what a fresh list says.

mod beats;
mod history;
mod pair;
mod watchers;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;

use crate::etcd::Cluster;
use crate::server::Server;
use crate::wait;
use beats::Beats;
use history::History;
pub use pair::Pair;
use watchers::Watched;

/// How much load there is, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Instances that send heartbeats.
    pub instances: usize,
    /// Their time to live, in seconds; they send three heartbeats in it.
    pub ttl: u32,
    /// Watchers of instances, and as many of rules.
    pub watchers: usize,
    /// Writes each second: half are of rules, half of instances.
    pub writes: u32,
    /// How long each fault lasts, and how long there is peace after it.
    pub pause: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What must not be, each in a line. Empty is good.
    pub faults: Vec<String>,
    /// Acknowledged writes.
    pub writes: usize,
    /// Writes without a clear answer.
    pub unsure: usize,
    /// Acknowledged heartbeats.
    pub beats: usize,
    /// Heartbeats that had to be sent again.
    pub late: usize,
    /// Whole states that watchers were told beyond their first.
    pub resets: usize,
}

/// The servers of one run.
struct Stage {
    etcd: Cluster,
    registries: [Server; 2],
    controllers: [Server; 2],
}

/// Runs it; `tell` is given a line for each step.
pub async fn run(scale: Scale, mut tell: impl FnMut(&str)) -> Report {
    let mut stage = Stage::start().await;
    let registries = Arc::new(Pair::new(&stage.registries));
    let controllers = Arc::new(Pair::new(&stage.controllers));
    let history = Arc::new(History::default());
    tell("registering");
    let beats = Arc::new(Beats::register(&registries, scale.instances, scale.ttl).await);
    let watched = Arc::new(Watched::default());
    let [mut beating, mut writing, mut watching] = [(); 3].map(|()| Crew::default());
    beats.start(&registries, &mut beating);
    let instances = "/api/v1/instances?watch=true&status=ALL";
    watched.start(&registries, instances, scale.watchers, &mut watching);
    watched.start(
        &controllers,
        "/v1/rules?watch=true",
        scale.watchers,
        &mut watching,
    );
    writers::start(
        &registries,
        &controllers,
        scale.writes,
        &history,
        &mut writing,
    );
    tokio::time::sleep(scale.pause).await;
    stage.suffer(scale.pause, &mut tell).await;

    tell("comparing");
    let mut report = Report::default();
    writing.end(&mut report).await;
    let lists = stage.lists(&mut report).await;
    for list in &lists {
        history.judge(list, &mut report);
    }
    // They end when they have come to what the lists say. A write without a clear answer may
    // still be done after these were read, so they are read again until all have.
    watched.settle(&lists);
    let again = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut unsure = Report::default();
            let lists = stage.lists(&mut unsure).await;
            if unsure.faults.is_empty() {
                watched.settle(&lists);
            }
        }
    };
    tokio::select! {
        () = watching.end(&mut report) => {}
        () = again => {}
    }
    beating.end(&mut report).await;
    beats.judge(&lists[0], &mut report);
    watched.judge(&beats, &mut report);
    report
}

/// Tasks that end when they are told.
#[derive(Default)]
struct Crew {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Crew {
    async fn end(&mut self, report: &mut Report) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(e) = ended {
                report.faults.push(format!("a task failed: {e}"));
            }
        }
    }
}

impl Stage {
    async fn start() -> Self {
        let etcd = Cluster::start().await;
        let store = format!("--store_address={}", etcd.addresses());
        let database = format!("--database_host={}", etcd.addresses());
        let registry = ["--store=etcd", &store];
        let controller = ["--database_type=etcd", &database];
        Self {
            registries: [
                Server::registry(&registry).await,
                Server::registry(&registry).await,
            ],
            controllers: [
                Server::controller(&controller).await,
                Server::controller(&controller).await,
            ],
            etcd,
        }
    }

    /// One fault after the other.
    async fn suffer(&mut self, pause: Duration, tell: &mut impl FnMut(&str)) {
        let peace = || tokio::time::sleep(pause);
        tell("kill -9 of etcd's leader");
        let leader = self.etcd.leader().await;
        self.etcd.kill(leader);
        peace().await;
        self.etcd.resume(leader);
        peace().await;

        for at in 0..2 {
            tell("kill -9 of a registry");
            self.registries[at].process.kill();
            peace().await;
            self.registries[at].resume().await;
            tell("kill -9 of a controller");
            self.controllers[at].process.kill();
            peace().await;
            self.controllers[at].resume().await;
        }

        tell("a member of etcd hangs");
        let follower = (self.etcd.leader().await + 1) % crate::etcd::MEMBERS;
        self.etcd.suspend(follower);
        peace().await;
        self.etcd.wake(follower);
        peace().await;

        let Some(network) = self.etcd.network() else {
            tell("nobody can be cut off here");
            return;
        };
        tell("etcd's leader is cut off");
        let leader = self.etcd.leader().await;
        network.cut(leader);
        peace().await;
        network.heal(leader);
        peace().await;
        tell("etcd's leader is cut off from the other members alone");
        let leader = self.etcd.leader().await;
        network.part(leader);
        peace().await;
        network.heal(leader);
        peace().await;
    }

    /// What instances and rules there are, once both servers of a pair say the same.
    async fn lists(&self, report: &mut Report) -> [history::List; 2] {
        let pairs = [
            (
                &self.registries,
                "/api/v1/instances?status=ALL",
                "instances",
            ),
            (&self.controllers, "/v1/rules", "rules"),
        ];
        let lists = pairs.map(|(servers, path, member)| async move {
            let same = wait::whether(|| async {
                let both = servers
                    .each_ref()
                    .map(|server| history::List::read(server, path, member));
                let both = join_all(both).await;
                match both[0].ids() == both[1].ids() {
                    true => Ok(both[0].clone()),
                    false => Err(format!("{} and {} {member}", both[0].len(), both[1].len())),
                }
            });
            match same.await {
                Ok(list) => (list, None),
                Err(e) => {
                    let one = history::List::read(&servers[0], path, member).await;
                    (one, Some(format!("the servers do not agree: {e}")))
                }
            }
        });
        let [instances, rules] = lists;
        let (instances, rules) = tokio::join!(instances, rules);
        report.faults.extend(instances.1.into_iter().chain(rules.1));
        [instances.0, rules.0]
    }
}
