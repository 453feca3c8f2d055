//! One attempt of a check.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use a8_common::peer;
use a8_common::run::chain;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::net::TcpStream;

use super::Kind;
use crate::supervise::{Child, Reaper};

/// Redirections are followed so often, where they are not what is asked for.
const REDIRECTIONS: usize = 5;

/// What makes attempts.
pub(super) struct Probe {
    kind: Kind,
    /// For requests only.
    client: Client,
    reaper: Reaper,
}

impl Probe {
    pub(super) fn new(kind: &Kind, reaper: &Reaper) -> Result<Self, peer::OpenError> {
        let builder = match kind {
            Kind::Http {
                url,
                code,
                ca_cert_file,
                ..
            } => {
                let policy = match code.is_redirection() {
                    true => Policy::none(),
                    false => Policy::limited(REDIRECTIONS),
                };
                peer::client(ca_cert_file.as_deref(), url.starts_with("https:"))?.redirect(policy)
            }
            Kind::Tcp { .. } | Kind::Command { .. } => peer::client(None, false)?,
        };
        // Each attempt shows that a connection can be made.
        let builder = builder.pool_max_idle_per_host(0);
        Ok(Self {
            kind: kind.clone(),
            client: builder.build().map_err(peer::OpenError::Client)?,
            reaper: reaper.clone(),
        })
    }

    /// Makes an attempt; what is wrong when it fails. A command that is still running when this
    /// is dropped is killed, and what it has started with it.
    pub(super) async fn attempt(&self) -> Result<(), String> {
        match &self.kind {
            Kind::Http {
                url, method, code, ..
            } => {
                let request = self.client.request(method.clone(), url.as_str());
                let answer = request.send().await.map_err(|e| chain(&e.without_url()))?;
                match answer.status() == *code {
                    true => Ok(()),
                    false => Err(format!("answers {}, not {code}", answer.status())),
                }
            }
            Kind::Tcp { address } => match TcpStream::connect(address.as_str()).await {
                Ok(_) => Ok(()),
                Err(e) => Err(e.to_string()),
            },
            Kind::Command {
                program,
                args,
                code,
            } => {
                let mut command = Command::new(program);
                command
                    .args(args)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let started = self.reaper.spawn(command);
                let running = Running(started.map_err(|e| format!("cannot be run: {e}"))?);
                let status = running.0.wait().await;
                match (status.code(), status.signal()) {
                    (Some(found), _) if found == *code => Ok(()),
                    (Some(found), _) => Err(format!("ends with {found}, not {code}")),
                    (None, Some(signal)) => Err(format!("was ended by signal {signal}")),
                    (None, None) => Err("has ended".to_owned()),
                }
            }
        }
    }
}

/// A command, which nobody waits for any more when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill_tree();
    }
}
