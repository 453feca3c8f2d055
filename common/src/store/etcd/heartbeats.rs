//! Keeping leases alive, many over few streams.
//!
//! A heartbeat is one message there and one back on a stream that stands: no call of its own,
//! no read, and no write that etcd's members would have to agree on. Streams go to the member
//! that leads. When one breaks, what it had not answered is said again on the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::debug;

use super::entry::signed;
use super::members::{ATTEMPT, Members};
use super::trouble::Trouble;
use crate::store::error::{LeaseError, Unavailable};
use crate::store::transaction::LeaseId;
use crate::task::{Stop, Tasks};

/// Streams. A member answers the heartbeats of one stream one after the other.
const LANES: usize = 4;
/// Heartbeats that wait for a place on a stream; whoever comes after them waits to wait.
const WAITING: usize = 1024;
/// Heartbeats of one stream under way. Below what the client's own queue holds, so that
/// sending never waits.
const UNDER_WAY: usize = 64;
/// How long a caller waits at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// After which a stream is made anew, since another member may lead by then.
const STREAM_AGE: Duration = Duration::from_secs(60);
/// Between two attempts to make a stream.
const PAUSE: Duration = Duration::from_millis(100);

/// Says that a lease is alive, and waits for the answer.
pub(super) struct Heartbeats {
    lanes: Box<[mpsc::Sender<Beat>]>,
}

struct Beat {
    lease: LeaseId,
    until: Instant,
    done: oneshot::Sender<Result<(), LeaseError>>,
}

impl Heartbeats {
    /// Streams are made when there is something to say, by tasks of `tasks`.
    pub(super) fn start(members: &Arc<Members>, tasks: &Tasks) -> Self {
        let lane = || {
            let (lane, beats) = mpsc::channel(WAITING);
            let speaker = Speaker {
                members: members.clone(),
                beats,
                waiting: VecDeque::new(),
                sent: 0,
            };
            tasks.spawn("etcd-heartbeats", speaker.run(tasks.stop().clone()));
            lane
        };
        Self {
            lanes: (0..LANES).map(|_| lane()).collect(),
        }
    }

    /// Gives a lease its full time again. Cancel-safe: it is said, or not.
    pub(super) async fn beat(&self, lease: LeaseId) -> Result<(), LeaseError> {
        let away = |reason: &str| LeaseError::Unavailable(Unavailable::because(reason));
        let until = Instant::now() + PATIENCE;
        let (done, answer) = oneshot::channel();
        let beat = Beat { lease, until, done };
        let lane = &self.lanes[lease.0 as usize % LANES];
        let said = async {
            lane.send(beat).await.ok()?;
            answer.await.ok()
        };
        match timeout_at(until, said).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(away("the store is closed")),
            Err(_) => Err(away("etcd is away: no member answers a heartbeat")),
        }
    }
}

/// Speaks on one stream after the other.
struct Speaker {
    members: Arc<Members>,
    beats: mpsc::Receiver<Beat>,
    /// In the order in which they are said; the first [`sent`](Self::sent) are under way.
    waiting: VecDeque<Beat>,
    sent: usize,
}

impl Speaker {
    async fn run(mut self, stop: Stop) {
        stop.race(async {
            loop {
                if self.waiting.is_empty() {
                    match self.beats.recv().await {
                        Some(beat) => self.waiting.push_back(beat),
                        None => return,
                    }
                }
                let spoken = self.speak().await;
                self.sent = 0;
                if let Err((at, e)) = spoken {
                    debug!(reason = e.reason(), "a stream of heartbeats broke");
                    self.members.blame(at, &e).await;
                    self.give_up(&e);
                    sleep(PAUSE.mul_f64(fastrand::f64() + 0.5)).await;
                }
            }
        })
        .await;
    }

    /// Makes a stream and speaks on it, until it breaks or is old.
    async fn speak(&mut self) -> Result<(), (usize, Trouble)> {
        let at = self.members.leader().await;
        let Some(first) = self.waiting.front() else {
            return Ok(());
        };
        // The client makes no stream without a first heartbeat.
        let lease = signed(first.lease.0);
        let open = async {
            let mut client = self.members.client(at).await?.lease_client();
            client.keep_alive(lease).await.map_err(Trouble::from)
        };
        let opened = timeout(ATTEMPT, open).await;
        match opened.unwrap_or_else(|_| Err(silence())) {
            Ok((keeper, stream)) => {
                self.answer(true);
                let spoken = self.converse(keeper, stream).await;
                spoken.map_err(|e| (at, e))
            }
            Err(Trouble::NoLease) => {
                self.answer(false);
                Ok(())
            }
            Err(e) => Err((at, e)),
        }
    }

    async fn converse(
        &mut self,
        mut keeper: LeaseKeeper,
        mut stream: LeaseKeepAliveStream,
    ) -> Result<(), Trouble> {
        let old = Instant::now() + STREAM_AGE;
        // When the oldest that is under way must have been answered.
        let mut due = Instant::now() + ATTEMPT;
        loop {
            if self.sent == 0 && Instant::now() >= old {
                return Ok(());
            }
            while self.sent < self.waiting.len().min(UNDER_WAY) {
                keeper.id = signed(self.waiting[self.sent].lease.0);
                keeper.keep_alive().await?;
                if self.sent == 0 {
                    due = Instant::now() + ATTEMPT;
                }
                self.sent += 1;
            }
            let room = self.waiting.len() < WAITING;
            tokio::select! {
                answer = stream.message() => {
                    let answer = answer?.ok_or_else(ended)?;
                    if self.sent == 0 || answer.id() != signed(self.waiting[0].lease.0) {
                        return Err(Trouble::Other("etcd answers for another lease".to_owned()));
                    }
                    self.sent -= 1;
                    self.answer(answer.ttl() > 0);
                    due = Instant::now() + ATTEMPT;
                }
                beat = self.beats.recv(), if room => match beat {
                    Some(beat) => self.waiting.push_back(beat),
                    None => return Ok(()),
                },
                () = sleep_until(due), if self.sent > 0 => return Err(silence()),
                () = sleep_until(old), if self.sent == 0 => return Ok(()),
            }
        }
    }

    /// Answers the first that waits.
    fn answer(&mut self, alive: bool) {
        if let Some(beat) = self.waiting.pop_front() {
            let answer = alive.then_some(()).ok_or(LeaseError::Unknown(beat.lease));
            // Whoever asked may have gone.
            let _ = beat.done.send(answer);
        }
    }

    /// Answers those who have waited long enough, and forgets those who have gone.
    fn give_up(&mut self, why: &Trouble) {
        let now = Instant::now();
        let kept = self.waiting.drain(..).filter_map(|beat| {
            if beat.done.is_closed() {
                return None;
            }
            if beat.until > now {
                return Some(beat);
            }
            let away = Unavailable::from(why.clone());
            let _ = beat.done.send(Err(away.into()));
            None
        });
        self.waiting = kept.collect();
    }
}

fn silence() -> Trouble {
    Trouble::Elsewhere {
        reason: "no answer to a heartbeat".to_owned(),
        sent: true,
    }
}

fn ended() -> Trouble {
    Trouble::Elsewhere {
        reason: "the stream of heartbeats ended".to_owned(),
        sent: true,
    }
}
