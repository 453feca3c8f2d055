//! An etcd of three members on loopback, for the control plane to share.

use std::time::Duration;

use serde_json::Value;

use super::Error;
use super::ports::Ports;
use super::processes::Processes;

/// Names of the members, which are those of their processes.
const NAMES: [&str; 3] = ["etcd-1", "etcd-2", "etcd-3"];
/// Where packages put the program.
const PROGRAM: &str = "/usr/bin/etcd";
/// How long a member may take to say who leads.
const PATIENCE: Duration = Duration::from_secs(1);

/// The members.
#[derive(Clone)]
pub(super) struct Etcd {
    http: reqwest::Client,
    urls: Vec<String>,
}

impl Etcd {
    /// Starts three members in `processes`.
    pub(super) fn start(
        http: reqwest::Client,
        ports: &mut Ports,
        processes: &mut Processes,
    ) -> Result<Self, Error> {
        if !std::path::Path::new(PROGRAM).exists() {
            return Err(Error::NotInstalled("etcd"));
        }
        let mut places = Vec::new();
        for name in NAMES {
            let [client, peer] = [ports.any()?, ports.any()?];
            let url = |port: u16| format!("http://127.0.0.1:{port}");
            places.push((name, url(client), url(peer)));
        }
        let all: Vec<_> = places
            .iter()
            .map(|(name, _, peer)| format!("{name}={peer}"))
            .collect();
        for (name, client, peer) in &places {
            let flags = [
                format!("--name={name}"),
                format!("--data-dir={}", processes.folder(name).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", all.join(",")),
                // Without it the history of all changes is kept for ever.
                "--auto-compaction-retention=1".to_owned(),
            ];
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            processes.start_at(name, PROGRAM, &flags)?;
        }
        Ok(Self {
            http,
            urls: places.into_iter().map(|(_, client, _)| client).collect(),
        })
    }

    /// The members, as servers are told them.
    pub(super) fn addresses(&self) -> String {
        self.urls.join(",")
    }

    /// The name of the member that leads; `None` when no member says so of itself.
    pub(super) async fn leader(&self) -> Option<&'static str> {
        for (name, url) in NAMES.iter().zip(&self.urls) {
            if self.leads(url).await == Some(true) {
                return Some(name);
            }
        }
        None
    }

    async fn leads(&self, url: &str) -> Option<bool> {
        let call = self.http.post(format!("{url}/v3/maintenance/status"));
        let answer = call.body("{}").timeout(PATIENCE).send().await.ok()?;
        let status: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(status.pointer("/leader")? == status.pointer("/header/member_id")?)
    }
}
