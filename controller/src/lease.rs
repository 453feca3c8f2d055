//! One of several controllers leads, by a Lease of the cluster.
//!
//! A holder renews its lease; one that does not is succeeded after the lease's time. That time
//! is counted here, from when the last renewal was seen: the clocks of two machines are never
//! compared. Each change of the lease builds on the version that was read, so one at most
//! becomes the holder. A holder that cannot renew stops well before another may begin; but a
//! process that was suspended may wake up late, so what a leader writes must bear being written
//! by two.

use std::time::Duration;

use a8_common::kubernetes::{Cluster, api_reason};
use a8_common::task::Stop;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

/// The name of the lease.
pub const NAME: &str = "a8controller";

/// How long things take.
#[derive(Clone, Copy)]
struct Times {
    /// After how long without a renewal another may take it; whole seconds.
    duration: Duration,
    /// After how long without a renewal its holder no longer leads.
    deadline: Duration,
    /// How often it is renewed, or looked at by the others.
    period: Duration,
}

const TIMES: Times = Times {
    duration: Duration::from_secs(15),
    deadline: Duration::from_secs(10),
    period: Duration::from_secs(2),
};
/// How often it is looked at while that fails.
const LONGEST_PERIOD: Duration = Duration::from_secs(30);
/// How long the API server may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// How often it is tried to be given up while its own last renewal comes in between.
const GIVING_UP: usize = 3;
/// The longest time that another's lease is believed to have.
const LONGEST_DURATION: i32 = 3600;

/// A process that would lead.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    times: Times,
    /// The lease as it was last seen, and since when.
    seen: Option<(Lease, Instant)>,
    told: Option<String>,
}

/// Why an attempt at the lease came to nothing.
enum Missed {
    /// Another has it.
    Held,
    /// Another was quicker, or has changed it.
    Overtaken,
    /// The API server is away, or against it.
    Failed(String),
}

impl Candidate {
    /// One for the namespace of `cluster`.
    pub fn new(cluster: &Cluster) -> Self {
        Self::with(cluster, TIMES)
    }

    fn with(cluster: &Cluster, times: Times) -> Self {
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        Self {
            api: Api::namespaced(cluster.client.clone(), &cluster.namespace),
            name: format!("{host}_{}", uuid::Uuid::new_v4()),
            times,
            seen: None,
            told: None,
        }
    }

    /// As what it is known.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does `work` whenever it leads, until `stop` fires; `leads` is told of each change. The
    /// work is dropped as soon as the lease is lost. At the end the lease is given up.
    pub async fn lead<W>(mut self, stop: Stop, leads: impl Fn(bool), work: impl Fn() -> W)
    where
        W: Future<Output = ()>,
    {
        stop.race(self.terms(&leads, work)).await;
        leads(false);
        self.give_up().await;
    }

    async fn terms<W>(&mut self, leads: &impl Fn(bool), work: impl Fn() -> W)
    where
        W: Future<Output = ()>,
    {
        loop {
            let began = self.win().await;
            info!(name = self.name, "leads");
            leads(true);
            let lost = tokio::select! {
                () = work() => "its work has ended".to_owned(),
                lost = self.hold(began) => lost,
            };
            leads(false);
            warn!(name = self.name, reason = lost, "leads no longer");
            sleep(jittered(self.times.period)).await;
        }
    }

    /// Waits until it has the lease; since when.
    async fn win(&mut self) -> Instant {
        let mut period = self.times.period;
        loop {
            let asked = Instant::now();
            match self.attempt().await {
                Ok(()) => return asked,
                Err(Missed::Held | Missed::Overtaken) => {
                    self.told = None;
                    period = self.times.period;
                }
                Err(Missed::Failed(why)) => {
                    period = (period * 2).min(LONGEST_PERIOD);
                    if self.told.as_ref() != Some(&why) {
                        warn!(reason = why, "cannot take part in choosing a leader");
                        self.told = Some(why);
                    }
                }
            }
            sleep(jittered(period)).await;
        }
    }

    /// Renews the lease, which it has had since `renewed`, until it is lost; why.
    async fn hold(&mut self, mut renewed: Instant) -> String {
        let mut why = "no answer in time".to_owned();
        loop {
            let until = renewed + self.times.deadline;
            let next = Instant::now() + jittered(self.times.period);
            tokio::time::sleep_until(next.min(until)).await;
            let asked = Instant::now();
            match tokio::time::timeout_at(until, self.attempt()).await {
                Ok(Ok(())) => renewed = asked,
                Ok(Err(Missed::Held)) => return "another has the lease".to_owned(),
                Ok(Err(Missed::Overtaken)) => {}
                Ok(Err(Missed::Failed(failed))) => why = failed,
                Err(_) => return why,
            }
        }
    }

    /// Takes or renews the lease, if it is ours or nobody's.
    async fn attempt(&mut self) -> Result<(), Missed> {
        let known = match &self.seen {
            Some((lease, _)) if self.has(lease) => Some(lease.clone()),
            _ => self.look().await?,
        };
        let now = MicroTime(Timestamp::now());
        let Some(mut lease) = known else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(NAME.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None, now)),
            };
            let made = answered(self.api.create(&PostParams::default(), &lease)).await;
            return self.note(made);
        };
        if !self.may_have(&lease) {
            return Err(Missed::Held);
        }
        lease.spec = Some(self.spec(lease.spec.as_ref(), now));
        let taken = answered(self.api.replace(NAME, &PostParams::default(), &lease)).await;
        self.note(taken)
    }

    /// The lease as it is; notes since when it has been so.
    async fn look(&mut self) -> Result<Option<Lease>, Missed> {
        let asked = Instant::now();
        let lease = answered(self.api.get_opt(NAME)).await?;
        let since = match (&lease, &self.seen) {
            (Some(now), Some((before, since))) if now.spec == before.spec => *since,
            _ => asked,
        };
        self.seen = lease.clone().map(|lease| (lease, since));
        Ok(lease)
    }

    fn note(&mut self, written: Result<Lease, Missed>) -> Result<(), Missed> {
        match written {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                self.told = None;
                Ok(())
            }
            Err(Missed::Failed(why)) => Err(Missed::Failed(why)),
            // What was thought to be known is no longer so.
            Err(missed) => {
                self.seen = None;
                Err(missed)
            }
        }
    }

    fn has(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.name)
    }

    fn may_have(&self, lease: &Lease) -> bool {
        let spec = lease.spec.as_ref();
        let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
        let seconds = seconds.map_or(self.times.duration.as_secs(), |s| {
            s.clamp(1, LONGEST_DURATION).unsigned_abs().into()
        });
        let since = self.seen.as_ref().map(|(_, since)| *since);
        let over = since.is_some_and(|since| since.elapsed() > Duration::from_secs(seconds));
        holder(lease).is_none() || self.has(lease) || over
    }

    fn spec(&self, before: Option<&LeaseSpec>, now: MicroTime) -> LeaseSpec {
        let ours = before.filter(|spec| spec.holder_identity.as_ref() == Some(&self.name));
        let acquired = ours.and_then(|spec| spec.acquire_time.clone());
        let transitions = before.map(|spec| spec.lease_transitions.unwrap_or(0));
        let more = i32::from(ours.is_none());
        LeaseSpec {
            holder_identity: Some(self.name.clone()),
            lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions.map_or(0, |n| n.saturating_add(more))),
            ..before.cloned().unwrap_or_default()
        }
    }

    /// Gives the lease up, so that others need not wait. It may be ours without our knowing,
    /// and a renewal may still be under way.
    async fn give_up(&mut self) {
        for _ in 0..GIVING_UP {
            match self.try_to_give_up().await {
                Ok(()) => {
                    info!(name = self.name, "has given up the lease");
                    return;
                }
                Err(Missed::Overtaken) => {}
                Err(Missed::Held) => return,
                Err(Missed::Failed(reason)) => {
                    warn!(reason, "the lease, if it has it, is not given up");
                    return;
                }
            }
        }
    }

    async fn try_to_give_up(&mut self) -> Result<(), Missed> {
        let lease = self.look().await?.filter(|lease| self.has(lease));
        let mut lease = lease.ok_or(Missed::Held)?;
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        answered(self.api.replace(NAME, &PostParams::default(), &lease)).await?;
        Ok(())
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_ref();
    holder.filter(|name| !name.is_empty())
}

async fn answered<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Missed> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // Of a lease that was deleted meanwhile, too.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
            Err(Missed::Overtaken)
        }
        Ok(Err(e)) => Err(Missed::Failed(api_reason(&e))),
        Err(_) => Err(Missed::Failed("no answer in time".to_owned())),
    }
}

/// So that several do not ask all at once.
fn jittered(period: Duration) -> Duration {
    period.mul_f64(fastrand::f64() * 0.4 + 0.8)
}

#[cfg(test)]
mod tests;
