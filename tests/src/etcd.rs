//! A real etcd of three members: each in a network namespace of its own, so that it can be cut
//! off, or all on loopback where the machine allows no namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::net::Network;
use crate::process::Process;
use crate::server::client;
use crate::{ports, wait};

/// How many members there are.
pub const MEMBERS: usize = 3;

/// An etcd of three members.
pub struct Cluster {
    members: Vec<Member>,
    network: Option<Network>,
    http: reqwest::Client,
    _folder: TempDir,
}

struct Member {
    process: Process,
    command: Vec<String>,
    client: String,
}

impl Cluster {
    /// Starts it and waits until it has a leader.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let network = Network::new(MEMBERS);
        let hosts: Vec<String> = (0..MEMBERS)
            .map(|n| match &network {
                Some(network) => network.address(n),
                None => "127.0.0.1".to_owned(),
            })
            .collect();
        let ports: Vec<(u16, u16)> = hosts
            .iter()
            .map(|_| (ports::free(), ports::free()))
            .collect();
        let peer = |n: usize| format!("http://{}:{}", hosts[n], ports[n].1);
        let peers: Vec<_> = (0..MEMBERS).map(|n| format!("m{n}={}", peer(n))).collect();
        let member = |n: usize| {
            let client = format!("http://{}:{}", hosts[n], ports[n].0);
            let etcd = [
                program().display().to_string(),
                format!("--name=m{n}"),
                format!("--data-dir={}", folder.path().join(n.to_string()).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={}", peer(n)),
                format!("--initial-advertise-peer-urls={}", peer(n)),
                format!("--initial-cluster={}", peers.join(",")),
                "--auto-compaction-mode=periodic".to_owned(),
                "--auto-compaction-retention=1h".to_owned(),
            ];
            let mut command = Vec::new();
            if let Some(network) = &network {
                command.extend(network.inside(n));
            }
            command.extend(etcd);
            Member {
                process: launch(n, &command),
                command,
                client,
            }
        };
        let members = (0..MEMBERS).map(member).collect();
        let cluster = Self {
            members,
            network,
            http: client(),
            _folder: folder,
        };
        cluster.leader().await;
        cluster
    }

    /// The members as servers are told them.
    pub fn addresses(&self) -> String {
        let all: Vec<&str> = self.members.iter().map(|m| m.client.as_str()).collect();
        all.join(",")
    }

    /// Who leads, as soon as the members that answer agree on one that does.
    pub async fn leader(&self) -> usize {
        wait::until("etcd to have a leader", || async {
            let mut ids = Vec::new();
            for member in &self.members {
                ids.push(self.status(member).await);
            }
            let leaders: Vec<&str> = ids
                .iter()
                .flatten()
                .map(|(_, leader)| leader.as_str())
                .collect();
            let agreed = leaders.len() > MEMBERS / 2 && leaders.windows(2).all(|w| w[0] == w[1]);
            let at = ids
                .iter()
                .position(|status| status.as_ref().is_some_and(|(id, leader)| id == leader));
            at.filter(|_| agreed).ok_or_else(|| format!("{ids:?}"))
        })
        .await
    }

    /// Id of a member, and of the leader that it knows.
    async fn status(&self, member: &Member) -> Option<(String, String)> {
        let url = format!("{}/v3/maintenance/status", member.client);
        let asked = self
            .http
            .post(url)
            .body("{}")
            .timeout(std::time::Duration::from_secs(1));
        let status: Value = asked.send().await.ok()?.json().await.ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some((
            text(&status["header"]["member_id"])?,
            text(&status["leader"])?,
        ))
    }

    /// Ends a member at once, as a power cut would.
    pub fn kill(&mut self, member: usize) {
        self.members[member].process.kill();
    }

    /// Starts a member again with the data it had.
    pub fn resume(&mut self, member: usize) {
        let process = launch(member, &self.members[member].command);
        self.members[member].process = process;
    }

    /// Makes a member hang.
    pub fn suspend(&self, member: usize) {
        self.members[member].process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn wake(&self, member: usize) {
        self.members[member].process.signal(Signal::CONT);
    }

    /// The network, where the members can be cut off.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }
}

fn launch(n: usize, command: &[String]) -> Process {
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]);
    Process::spawn(&format!("etcd-{n}"), process)
}

fn program() -> PathBuf {
    let path = PathBuf::from("/usr/bin/etcd");
    assert!(Path::exists(&path), "there is no etcd: run `make test`");
    path
}
