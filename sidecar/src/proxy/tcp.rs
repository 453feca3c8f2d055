//! TCP proxies: ports that lead to a service whatever is spoken over them.
//!
//! A connection is routed when it is accepted, by the same rules as requests: the service of
//! its port is the destination, and it has neither headers nor path. From then on it stays
//! where it is: a change of rules or instances moves new connections only.

mod record;
mod relay;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use a8_common::model::ServiceName;
use a8_common::task::Stop;
use smallvec::SmallVec;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tracing::debug;

use super::connect::{CONNECT_TIMEOUT, ConnectError, dial};
use super::listener::{self, Listen};
use super::metrics::StreamStats;
use super::record::Flag;
use super::routes::{Plan, Unroutable};
use super::trial::Verdict;
use super::upstream::{InFlight, Open, Upstream};
use super::worker::Worker;
use record::Record;
use relay::{Pair, Scratch, Toward};

/// The most connections that one worker holds, of all its TCP proxies.
const MAX_CONNECTIONS: usize = 16_384;
/// How long a connection may stay open without a byte either way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Before another attempt at an instance that was tried already.
const PAUSE: Duration = Duration::from_millis(25);

/// A port that leads to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpProxy {
    /// The service.
    pub service: ServiceName,
    /// Where its callers find it.
    pub listen: Listen,
}

/// A TCP proxy as its workers see it.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) service: ServiceName,
    pub(super) number: u16,
    pub(super) stats: Arc<StreamStats>,
}

/// One worker's connections of TCP proxies.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: Cell<usize>,
    /// Told whenever one has ended.
    ended: Notify,
    scratch: Scratch,
}

impl Streams {
    /// Waits until there are fewer than `most`. Cancel-safe.
    async fn fewer_than(&self, most: usize) {
        while self.open.get() >= most {
            self.ended.notified().await;
        }
    }

    /// Waits until all have ended. Cancel-safe.
    pub(super) async fn none_left(&self) {
        self.fewer_than(1).await;
    }
}

/// Counts a connection for as long as it lives.
struct Counted {
    worker: Rc<Worker>,
    stats: Arc<StreamStats>,
}

impl Counted {
    fn new(worker: &Rc<Worker>, port: &Port) -> Self {
        let streams = &worker.streams;
        streams.open.set(streams.open.get() + 1);
        port.stats.open.add(1);
        Self {
            worker: worker.clone(),
            stats: port.stats.clone(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let streams = &self.worker.streams;
        streams.open.set(streams.open.get() - 1);
        streams.ended.notify_waiters();
        self.stats.open.add(-1);
    }
}

/// Accepts at `port` until `close` fires.
pub(super) async fn accept(
    worker: &Rc<Worker>,
    port: &Arc<Port>,
    listener: TcpListener,
    close: &Stop,
) {
    let room = async || worker.streams.fewer_than(MAX_CONNECTIONS).await;
    let open = |stream, peer| {
        let counted = Counted::new(worker, port);
        let (worker, port) = (worker.clone(), port.clone());
        worker.clone().drive(async move {
            carry(&worker, &port, stream, peer).await;
            drop(counted);
        });
    };
    listener::accept(listener, close, room, open).await;
}

const fn unroutable(why: &Unroutable) -> Flag {
    match why {
        Unroutable::NotLoaded => Flag::NoInstance,
        Unroutable::Malformed(_) | Unroutable::Refused(_) | Unroutable::NoService(_) => {
            Flag::NoService
        }
    }
}

/// Why a connection leads nowhere.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A rule asks for a closed connection.
    #[error("aborted by a rule")]
    Aborted,
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
    const fn flag(&self) -> Flag {
        match self {
            Self::Aborted => Flag::Aborted,
            Self::NoInstance => Flag::NoInstance,
            Self::Connect(_) => Flag::Broken,
            Self::TimedOut => Flag::TimedOut,
        }
    }
}

/// The life of one connection.
async fn carry(worker: &Rc<Worker>, port: &Port, caller: TcpStream, peer: SocketAddr) {
    let mut record = Record::begin(worker, port);
    let plan = worker.decide_stream(&port.service, |mark| {
        record.trace(mark.log_key(), mark.log_value());
    });
    let plan = match plan {
        Ok(plan) => plan,
        Err(why) => {
            debug!(%peer, service = %port.service, error = %why, "not routed");
            return record.refused(unroutable(&why));
        }
    };
    record.routed(&plan);
    let Some(_charge) = plan.backend.gate.reserve() else {
        debug!(%peer, backend = %plan.backend.label, "more than max_connections");
        return record.refused(Flag::Overflow);
    };
    let reached = tokio::time::timeout(plan.timeout, connect(worker, &plan, &mut record));
    let (instance, upstream) = match reached.await.unwrap_or(Err(Failure::TimedOut)) {
        Ok(reached) => reached,
        Err(why) => {
            debug!(%peer, backend = %plan.backend.label, error = %why, "not connected");
            return record.refused(why.flag());
        }
    };
    record.connected();
    let _open = Open::new(upstream.clone());
    let _in_flight = InFlight::new(upstream);
    let count = |toward, n| match toward {
        Toward::Instance => port.stats.to_instance.add(n),
        Toward::Caller => port.stats.to_caller.add(n),
    };
    let scratch = &worker.streams.scratch;
    let mut pair = Pair::new(caller, instance);
    let end = pair
        .relay(scratch, &record.moved, IDLE_TIMEOUT, count)
        .await;
    record.ended(end);
}

/// Connects to an instance that the plan allows. As nothing has been sent yet, another one
/// is tried after a failure even where no retry is asked for.
async fn connect(
    worker: &Worker,
    plan: &Plan,
    record: &mut Record,
) -> Result<(TcpStream, Arc<Upstream>), Failure> {
    if let Some(delay) = plan.delay {
        tokio::time::sleep(delay).await;
    }
    if plan.abort.is_some() {
        return Err(Failure::Aborted);
    }
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
                return Ok((stream, upstream.clone()));
            }
            Err(why) => {
                Verdict::of_connect(&why).on(&member, &plan.backend);
                failed = Some(why);
            }
        }
        tried.push(upstream.key);
    }
}
