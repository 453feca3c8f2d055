//! A connection for one exchange: one of the worker's pool, a new one, or, when the backend
//! has as many as it may have, the next that comes free.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::aim::Aim;
use super::attempt::{Failed, Failure};
use super::connect::open;
use super::gate::{Charge, Entry, Place};
use super::limits::Bound;
use super::pool::{Dial, Dialling, Lease, Taken, Wait, Waited};
use super::upstream::{Upstream, Want};

/// How often others are let go first before a connection that was lent must be ready.
const TURNS: usize = 4;

/// Gets a connection to where `aim` points. Waits for it no longer than it is waited for:
/// dropped early, it leaves nothing behind.
pub(super) async fn acquire(aim: &mut Aim<'_>, now: Instant) -> Result<Taken, Failed> {
    let upstream = aim.upstream()?;
    let want = upstream.want(aim.send.traffic);
    let gate = &aim.send.plan.backend.gate;
    if let Some(taken) = aim.send.worker.pool.take(&upstream, want, gate, now) {
        return Ok(taken);
    }
    // Most requests end here; what the others need is kept out of the state of each.
    Box::pin(obtain(aim, now)).await
}

/// Gets a connection, by opening one or by waiting.
async fn obtain(aim: &mut Aim<'_>, now: Instant) -> Result<Taken, Failed> {
    let (worker, gate) = (aim.send.worker, &aim.send.plan.backend.gate);
    let mut right: Option<Charge> = None;
    let mut alone = false;
    let mut place = Place::Back;
    loop {
        let upstream = aim.upstream()?;
        let want = upstream.want(aim.send.traffic);
        if let Some(taken) = worker.pool.take(&upstream, want, gate, now) {
            return Ok(taken);
        }
        // A connection that may carry more than one exchange is opened by one and waited for
        // by the others; those whom it has no room for wait for the next. If it comes to
        // nothing: everybody for themselves, so that a dead instance does not cost one timeout
        // after the other.
        let dialling = match want {
            Want::Two | Want::Either if !alone && gate.allows(1) => {
                match worker.pool.dial(&upstream) {
                    Dial::Go(dialling) => Some(dialling),
                    Dial::Wait(first) => {
                        alone = first.failed().await;
                        continue;
                    }
                }
            }
            _ => None,
        };
        if let Some(charge) = right.take().or_else(|| gate.reserve()) {
            match open(worker, &upstream, want, charge).await {
                Ok(lease) => {
                    return Ok(Taken {
                        lease,
                        idle_for: None,
                    });
                }
                Err(e) => {
                    fail(dialling);
                    return Err(unsent(e.into()));
                }
            }
        }
        fail(dialling);
        match wait(aim, &upstream, place).await? {
            Waited::Open(charge) => right = Some(charge),
            Waited::Lent(lease) => match accept(aim, lease).await {
                Some(taken) => return Ok(taken),
                None => place = Place::Front,
            },
        }
    }
}

/// Waits for a connection to come free.
async fn wait(aim: &mut Aim<'_>, to: &Arc<Upstream>, place: Place) -> Result<Waited, Failed> {
    let (worker, backend) = (aim.send.worker, &aim.send.plan.backend);
    let gate = &backend.gate;
    let place = match place {
        Place::Back if worker.pool.evict(gate) => Place::BackFor,
        place => place,
    };
    let http2 = match to.want(aim.send.traffic) {
        Want::One => (true, false),
        Want::Two => (false, true),
        Want::Either => (true, true),
    };
    let entry = gate.enter(worker.pool.worker(), http2, place, Instant::now());
    let waiting = match entry {
        Entry::Open(charge) => return Ok(Waited::Open(charge)),
        Entry::Full => {
            backend.waits.refuse(Bound::Pending);
            return Err(unsent(Failure::Overflow(Bound::Pending)));
        }
        Entry::Wait(waiting) => Wait::new(waiting, worker.pool.clone()),
    };
    worker.nudge_others();
    aim.wait();
    let _pending = backend.waits.begin();
    // The other end of the place goes away only with a grant.
    let granted = waiting.granted().await;
    granted.ok_or_else(|| unsent(Failure::Overflow(Bound::Pending)))
}

/// Takes a connection that was lent, if it leads to an instance that takes requests.
async fn accept(aim: &mut Aim<'_>, lease: Lease) -> Option<Taken> {
    let upstream = lease.upstream();
    let fits = match upstream.want(aim.send.traffic) {
        Want::One => !lease.is_http2(),
        Want::Two => lease.is_http2(),
        Want::Either => true,
    };
    let member = aim.send.plan.backend.member(upstream.key)?;
    // The exchange before this one has only just ended, and its connection may not have seen
    // to that yet.
    for _ in 0..TURNS {
        if lease.is_ready() {
            break;
        }
        tokio::task::yield_now().await;
    }
    (fits && lease.is_ready()).then(|| {
        aim.at(member, Instant::now());
        Taken {
            lease,
            idle_for: Some(Duration::ZERO),
        }
    })
}

fn fail(dialling: Option<Dialling>) {
    if let Some(dialling) = dialling {
        dialling.fail();
    }
}

fn unsent(why: Failure) -> Failed {
    Failed { why, sent: false }
}
