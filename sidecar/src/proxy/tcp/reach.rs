//! From a plan to a connection: wait for a place among those of the backend, pick an instance,
//! and try another where one cannot be connected to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::record::Record;
use crate::proxy::connect::{CONNECT_TIMEOUT, ConnectError, dial};
use crate::proxy::gate::{Charge, Entry, Grant, Place};
use crate::proxy::limits::Bound;
use crate::proxy::record::Flag;
use crate::proxy::routes::Plan;
use crate::proxy::trial::Verdict;
use crate::proxy::upstream::Upstream;
use crate::proxy::worker::Worker;

/// Before another attempt at an instance that was tried already.
const PAUSE: Duration = Duration::from_millis(25);

/// An instance to pass bytes to.
pub(super) struct Reached {
    pub(super) stream: TcpStream,
    pub(super) upstream: Arc<Upstream>,
    /// Its place among the connections of the backend.
    pub(super) charge: Charge,
}

/// Why a connection leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A rule asks for a closed connection.
    #[error("aborted by a rule")]
    Aborted,
    /// As many are waiting as may.
    #[error("more than the {} of the backend", .0.name())]
    Overflow(Bound),
    /// Nobody to connect to.
    #[error("no instance")]
    NoInstance,
    /// Nobody answers the door.
    #[error("{0}")]
    Connect(#[from] ConnectError),
    /// The time limit has passed.
    #[error("no connection in time")]
    TimedOut,
}

impl Failure {
    pub(super) const fn flag(&self) -> Flag {
        match self {
            Self::Aborted => Flag::Aborted,
            Self::Overflow(_) => Flag::Overflow,
            Self::NoInstance => Flag::NoInstance,
            Self::Connect(_) => Flag::Broken,
            Self::TimedOut => Flag::TimedOut,
        }
    }
}

/// Waits until the backend may have another connection, in one queue with its requests. No
/// connection of theirs is of use here, but an idle one can be given up.
async fn admit(worker: &Worker, plan: &Plan) -> Result<Charge, Failure> {
    let backend = &plan.backend;
    let gate = &backend.gate;
    if let Some(charge) = gate.reserve() {
        return Ok(charge);
    }
    let place = match worker.pool.evict(gate) {
        true => Place::BackFor,
        false => Place::Back,
    };
    let neither = (false, false);
    let entry = gate.enter(worker.pool.worker(), neither, place, Instant::now());
    let mut waiting = match entry {
        Entry::Open(charge) => return Ok(charge),
        Entry::Wait(waiting) => waiting,
        Entry::Full => {
            backend.waits.refuse(Bound::Pending);
            return Err(Failure::Overflow(Bound::Pending));
        }
    };
    worker.nudge_others();
    let _pending = backend.waits.begin();
    match waiting.granted().await {
        Some(Grant::Open(charge)) => Ok(charge),
        // Nothing is lent to one that can use nothing.
        Some(Grant::Lent) | None => Err(Failure::Overflow(Bound::Pending)),
    }
}

/// Connects to an instance that the plan allows. As nothing has been sent yet, another one
/// is tried after a failure even where no retry is asked for.
pub(super) async fn reach(
    worker: &Worker,
    plan: &Plan,
    record: &mut Record,
) -> Result<Reached, Failure> {
    if let Some(delay) = plan.delay {
        tokio::time::sleep(delay).await;
    }
    if plan.abort.is_some() {
        return Err(Failure::Aborted);
    }
    let charge = admit(worker, plan).await?;
    plan.backend.budget.deposit();
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut failed: Option<ConnectError> = None;
    loop {
        let member = plan.backend.pick_stream(&tried);
        let member = member.ok_or(Failure::NoInstance)?;
        let upstream = &member.upstream;
        let again = tried.contains(&upstream.key);
        if let Some(why) = failed.take() {
            let allowed = plan.retries.max(u32::from(!again));
            let denied = allowed > record.retries && !plan.backend.budget.withdraw(Instant::now());
            if denied {
                worker.shared.metrics.retries_denied.inc();
            }
            if denied || record.retries >= allowed {
                if denied || record.retries > 0 {
                    record.flag(Flag::Exhausted);
                }
                return Err(why.into());
            }
            if again {
                tokio::time::sleep(PAUSE.mul_f64(1.0 + fastrand::f64())).await;
            }
            record.retries += 1;
            worker.shared.metrics.retries.inc();
        }
        record.upstream = Some(upstream.clone());
        match dial(upstream, tokio::time::Instant::now() + CONNECT_TIMEOUT).await {
            Ok((stream, _)) => {
                Verdict::Good.on(&member, &plan.backend);
                return Ok(Reached {
                    stream,
                    upstream: upstream.clone(),
                    charge,
                });
            }
            Err(why) => {
                Verdict::of_connect(&why).on(&member, &plan.backend);
                failed = Some(why);
            }
        }
        tried.push(upstream.key);
    }
}
