//! TCP proxies: ports that lead to a service whatever is spoken over them.
//!
//! A connection is routed when it is accepted, by the same rules as requests: the service of
//! its port is the destination, and it has neither headers nor path. From then on it stays
//! where it is: a change of rules or instances moves new connections only.

mod reach;
mod record;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use a8_common::model::ServiceName;
use a8_common::task::Stop;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tracing::debug;

use super::listener::{self, Listen};
use super::metrics::StreamStats;
use super::record::Flag;
use super::relay::{IDLE_TIMEOUT, Pair, Toward};
use super::routes::Unroutable;
use super::upstream::{InFlight, Open};
use super::worker::Worker;
use reach::{Failure, Reached, reach};
use record::Record;

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
    let room = async || worker.streams.fewer_than(worker.shared.max_callers).await;
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

/// The life of one connection.
async fn carry(worker: &Rc<Worker>, port: &Port, caller: TcpStream, peer: SocketAddr) {
    let mut record = Record::begin(worker, port);
    let plan = worker.decide_stream(&port.service, |key, value| record.trace(key, value));
    let plan = match plan {
        Ok(plan) => plan,
        Err(why) => {
            debug!(%peer, service = %port.service, error = %why, "not routed");
            return record.refused(unroutable(&why));
        }
    };
    record.routed(&plan);
    let reached = tokio::time::timeout(plan.timeout, reach(worker, &plan, &mut record));
    let Reached {
        stream: instance,
        upstream,
        charge: _charge,
    } = match reached.await.unwrap_or(Err(Failure::TimedOut)) {
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
    let mut pair = Pair::new(caller, instance);
    let end = pair
        .relay(&worker.scratch, &record.moved, IDLE_TIMEOUT, count)
        .await;
    record.ended(end);
}
