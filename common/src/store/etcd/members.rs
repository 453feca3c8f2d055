//! Which member is asked.
//!
//! One member is asked for everything as long as it serves. When it does not answer, or says
//! that it cannot, all go on to the next: a request that may be made twice at once, the next
//! request otherwise. Whoever holds a stream is told ([`Members::moved`]). Spreading requests
//! over all members would instead lose a part of them for as long as one member hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

use super::connect;
use super::entry::header;
use super::trouble::Trouble;
use crate::store::open::OpenError;
use crate::store::open::etcd::Config;

/// How long a caller waits at most, over all members.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what must not be done twice may take. What was under way when a leader died is
/// lost, and etcd says so only after seven seconds; whoever asked can ask again sooner.
const ONCE: Duration = Duration::from_secs(3);
/// How long one member may take for what another may be asked again.
pub(super) const ATTEMPT: Duration = Duration::from_millis(1500);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// A connection without an answer to this is broken. etcd ends the connections of those who
/// ask more often than every five seconds (`--grpc-keepalive-min-time`).
const PING: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(2));
/// Between two rounds of all members.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a member may take to say who leads.
const LEADER: Duration = Duration::from_millis(500);

pub(super) struct Members {
    members: Box<[Member]>,
    options: ConnectOptions,
    current: watch::Sender<usize>,
}

struct Member {
    url: String,
    /// Made at first need, and again when its user was refused.
    client: Mutex<Option<Client>>,
    /// Whether it failed when it was last asked.
    failing: AtomicBool,
}

impl Members {
    pub(super) fn new(config: &Config) -> Result<Self, OpenError> {
        let options = connect::options(config)?
            .with_connect_timeout(CONNECT)
            .with_keep_alive(PING.0, PING.1)
            .with_keep_alive_while_idle(false)
            // A member that is cut off from the others says so instead of being silent.
            .with_require_leader(true);
        let member = |url: &String| Member {
            url: url.clone(),
            client: Mutex::new(None),
            failing: AtomicBool::new(false),
        };
        let members: Box<[Member]> = config.endpoints.iter().map(member).collect();
        // Several servers need not all burden the same member.
        let first = fastrand::usize(..members.len().max(1));
        Ok(Self {
            members,
            options,
            current: watch::channel(first).0,
        })
    }

    /// The member that is asked now.
    pub(super) fn current(&self) -> usize {
        *self.current.borrow()
    }

    /// Changes when another member comes to be asked.
    pub(super) fn moved(&self) -> watch::Receiver<usize> {
        self.current.subscribe()
    }

    /// Goes on to the next member, unless somebody else already left `at`.
    pub(super) fn leave(&self, at: usize, why: &Trouble) {
        let member = &self.members[at];
        if !member.failing.swap(true, Ordering::Relaxed) {
            warn!(
                member = member.url,
                reason = why.reason(),
                "etcd: a member fails"
            );
        }
        let next = (at + 1) % self.members.len();
        self.current
            .send_if_modified(|now| *now == at && std::mem::replace(now, next) != next);
    }

    /// The client of a member.
    pub(super) async fn client(&self, at: usize) -> Result<Client, Trouble> {
        let member = &self.members[at];
        let mut client = member.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        // With a user this asks for a token; nothing that a caller wanted has been sent.
        let made = Client::connect([&member.url], Some(self.options.clone()));
        let made = made.await.map_err(|e| match Trouble::from(e) {
            Trouble::Elsewhere { reason, .. } => {
                let sent = false;
                Trouble::Elsewhere { reason, sent }
            }
            e => e,
        })?;
        Ok(client.insert(made).clone())
    }

    /// Asks for what may be asked twice, of one member after the other.
    pub(super) async fn ask<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let answer = self.ask_at(call).await;
        answer.map(|(_, answer)| answer)
    }

    /// As [`ask`](Self::ask), for those who need to know which member answered.
    pub(super) async fn ask_at<T, F>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<(usize, T), Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut failed = Trouble::Other("there is no member to ask".to_owned());
            for _ in &self.members {
                let at = self.current();
                let one = self.attempt(at, &call);
                let ends = until.min(Instant::now() + ATTEMPT);
                failed = match timeout_at(ends, one).await {
                    Ok(Ok(answer)) => return Ok((at, answer)),
                    Ok(Err(e @ Trouble::Elsewhere { .. })) => e,
                    Ok(Err(e)) => return Err(e),
                    Err(_) => Trouble::silent(&self.members[at].url),
                };
                self.leave(at, &failed);
                if Instant::now() >= until {
                    return Err(failed);
                }
            }
            let pause = Instant::now() + PAUSE.mul_f64(fastrand::f64() + 0.5);
            if pause >= until {
                return Err(failed);
            }
            sleep_until(pause).await;
        }
    }

    /// Asks for what must not be done twice: of another member only when nothing was sent.
    pub(super) async fn tell<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let until = Instant::now() + ONCE;
        let mut failed = Trouble::Other("there is no member to ask".to_owned());
        for _ in &self.members {
            let at = self.current();
            let one = self.attempt(at, &call);
            failed = match timeout_at(until, one).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(e)) => e,
                Err(_) => Trouble::silent(&self.members[at].url),
            };
            let Trouble::Elsewhere { sent, .. } = failed else {
                return Err(failed);
            };
            self.leave(at, &failed);
            if sent {
                break;
            }
        }
        Err(failed)
    }

    async fn attempt<T, F>(&self, at: usize, call: &impl Fn(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let client = self.client(at).await?;
        let answer = call(client).await.map_err(Trouble::from);
        let member = &self.members[at];
        match &answer {
            Ok(_) if member.failing.swap(false, Ordering::Relaxed) => {
                info!(member = member.url, "etcd: a member serves again");
            }
            Err(e @ Trouble::Denied(_)) => self.blame(at, e).await,
            _ => {}
        }
        answer
    }

    /// Draws the consequence of what a member answered to whoever holds a stream with it.
    pub(super) async fn blame(&self, at: usize, why: &Trouble) {
        match why {
            Trouble::Elsewhere { .. } => self.leave(at, why),
            // The next who asks makes a new client, with a new token.
            Trouble::Denied(_) => *self.members[at].client.lock().await = None,
            _ => {}
        }
    }

    /// The member that leads, where it says so in time; heartbeats cost least there, since
    /// the others hand each on to it. Otherwise the current one.
    pub(super) async fn leader(&self) -> usize {
        let ask = |at: usize| async move {
            let client = self.client(at).await.ok()?;
            let status = client.maintenance_client().status().await.ok()?;
            let leads = status.leader() == header(status.header()).member;
            leads.then_some(at)
        };
        let all = (0..self.members.len()).map(|at| timeout(LEADER, ask(at)));
        let answers = futures_util::future::join_all(all).await;
        let leader = answers.into_iter().find_map(|answer| answer.ok().flatten());
        leader.unwrap_or_else(|| self.current())
    }
}
