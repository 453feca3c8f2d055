//! One thread of the data plane, with everything that is its own: runtime, listener, pools,
//! log buffer. Workers share nothing that is written per request but counters.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use a8_common::model::ServiceName;
use arc_swap::{ArcSwap, Cache};
use http::request::Parts;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tracing::error;

use super::access_log::{self, FLUSH_AFTER};
use super::body::Idle;
use super::connections::Connections;
use super::doors::Doors;
use super::listener;
use super::pool::Pool;
use super::relay::Scratch;
use super::routes::{Plan, Routes, Unroutable};
use super::tcp::{self, Port, Streams};
use super::{Ending, Shared};

/// How often timeouts are looked after that need no precision.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often requests are looked for once the proxy waits for a moment without any.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The state of one worker thread.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Rc<Pool>,
    pub(super) connections: Rc<Connections>,
    pub(super) streams: Streams,
    pub(super) scratch: Scratch,
    pub(super) log: Option<access_log::Buffer>,
    pub(super) buffers: Buffers,
    pub(super) clock: RefCell<Clock>,
    /// What watches over the response that has just begun in HTTP/2, for the exchange's task.
    pub(super) begun: Cell<Option<Idle>>,
    routes: RefCell<Cache<Arc<ArcSwap<Routes>>, Arc<Routes>>>,
    random: RefCell<fastrand::Rng>,
    tasks: RefCell<JoinSet<()>>,
}

impl Worker {
    pub(super) fn new(at: usize, shared: Arc<Shared>, log: Option<access_log::Log>) -> Rc<Self> {
        Rc::new(Self {
            routes: RefCell::new(Cache::new(shared.routes.clone())),
            shared,
            pool: Pool::new(at),
            connections: Connections::new(),
            streams: Streams::default(),
            scratch: Scratch::default(),
            log: log.map(access_log::Buffer::new),
            buffers: Buffers::default(),
            clock: RefCell::new(Clock::new()),
            begun: Cell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            tasks: RefCell::default(),
        })
    }

    /// Decides by the state of this moment.
    pub(super) fn decide(
        &self,
        head: &Parts,
        trace: impl FnMut(&str, &str),
    ) -> Result<Plan, Unroutable> {
        let mut routes = self.routes.borrow_mut();
        let mut random = self.random.borrow_mut();
        routes.load().plan(&self.shared, head, &mut *random, trace)
    }

    /// Decides a byte stream by the state of this moment.
    pub(super) fn decide_stream(
        &self,
        service: &ServiceName,
        trace: impl FnMut(&str, &str),
    ) -> Result<Plan, Unroutable> {
        let mut routes = self.routes.borrow_mut();
        let mut random = self.random.borrow_mut();
        let routes = routes.load();
        routes.plan_stream(&self.shared, service, &mut *random, trace)
    }

    /// Runs the task of a connection until it ends, at most as long as the worker runs.
    pub(super) fn drive(&self, work: impl Future<Output = ()> + 'static) -> AbortHandle {
        let mut tasks = self.tasks.borrow_mut();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(e) = ended
                && e.is_panic()
            {
                error!("the task of a connection panicked");
            }
        }
        tasks.spawn_local(work)
    }

    /// Serves until `ending` says so, and lets requests in flight end, and byte streams.
    ///
    /// # Errors
    /// The listeners cannot be used.
    pub(super) async fn run(self: Rc<Self>, doors: Doors, ending: Ending) -> io::Result<()> {
        let http = TcpListener::from_std(doors.http)?;
        let listening = doors.tcp.into_iter();
        let tcp = listening
            .map(|(port, listener)| Ok((port, TcpListener::from_std(listener)?)))
            .collect::<io::Result<Vec<_>>>()?;
        let housekeeping = async {
            tokio::join!(
                self.sweep(),
                self.flush(),
                self.give_up(),
                self.tell(&ending)
            );
        };
        tokio::select! {
            () = housekeeping => {}
            () = self.serve(http, tcp, &ending) => {}
            () = ending.abort.wait() => {}
        }
        // The tasks hold the worker, and the worker holds the tasks.
        let mut tasks = self.tasks.take();
        self.pool.clear();
        tasks.shutdown().await;
        Ok(())
    }

    async fn serve(
        self: &Rc<Self>,
        http: TcpListener,
        tcp: Vec<(Arc<Port>, TcpListener)>,
        Ending { open, close, .. }: &Ending,
    ) {
        if close.race(open.wait()).await.is_none() {
            return;
        }
        let http = async {
            listener::accept_http(self, http, close).await;
            self.connections.close();
            while self.connections.len() > 0 {
                self.connections.ended.notified().await;
            }
        };
        let mut ports = JoinSet::new();
        for (port, listener) in tcp {
            let (worker, close) = (self.clone(), close.clone());
            ports.spawn_local(async move { tcp::accept(&worker, &port, listener, &close).await });
        }
        let tcp = async {
            while ports.join_next().await.is_some() {}
            self.streams.none_left().await;
        };
        tokio::join!(http, tcp);
    }

    /// Says that there was a moment without a request, when that is asked for.
    async fn tell(&self, ending: &Ending) {
        ending.ask.wait().await;
        while self.connections.any_request() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        ending.idle.add_permits(1);
    }

    async fn sweep(&self) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await.into_std();
            self.pool.sweep(now);
            self.pool.give_up();
            self.connections.sweep(now);
            self.clock.borrow_mut().set();
        }
    }

    /// Has the other workers give up idle connections that somebody waits for.
    pub(super) fn nudge_others(&self) {
        for (at, nudge) in self.shared.nudges.iter().enumerate() {
            if at != self.pool.worker() {
                nudge.notify_one();
            }
        }
    }

    async fn give_up(&self) {
        let Some(nudge) = self.shared.nudges.get(self.pool.worker()) else {
            return std::future::pending().await;
        };
        loop {
            nudge.notified().await;
            self.pool.give_up();
        }
    }

    async fn flush(&self) {
        let Some(log) = &self.log else {
            return std::future::pending().await;
        };
        loop {
            log.begun.notified().await;
            tokio::time::sleep(FLUSH_AFTER).await;
            log.flush();
        }
    }
}

/// Buffers for lines, used again and again.
#[derive(Debug, Default)]
pub(super) struct Buffers(RefCell<Vec<Vec<u8>>>);

impl Buffers {
    const MAX: usize = 64;
    const MAX_BYTES: usize = 4096;

    pub(super) fn take(&self) -> Vec<u8> {
        let used = self.0.borrow_mut().pop();
        used.unwrap_or_else(|| Vec::with_capacity(1024))
    }

    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < Self::MAX && buffer.capacity() <= Self::MAX_BYTES {
            kept.push(buffer);
        }
    }
}

/// Turns the monotonic time that requests are measured by into a date, without asking the
/// system for it each time.
#[derive(Debug)]
pub(super) struct Clock {
    at: Instant,
    unix: Duration,
    /// The second that `text` shows.
    second: u64,
    text: String,
}

impl Clock {
    fn new() -> Self {
        let mut clock = Self {
            at: Instant::now(),
            unix: Duration::ZERO,
            second: u64::MAX,
            text: String::new(),
        };
        clock.set();
        clock
    }

    /// Asks the system for the time.
    fn set(&mut self) {
        self.at = Instant::now();
        self.unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
    }

    /// `instant` as RFC 3339 in UTC, to the millisecond.
    pub(super) fn stamp(&mut self, instant: Instant) -> &str {
        let since = instant.saturating_duration_since(self.at);
        let unix = self.unix + since;
        if unix.as_secs() != self.second {
            self.second = unix.as_secs();
            let second = i64::try_from(self.second).unwrap_or(i64::MAX);
            let date = jiff::Timestamp::from_second(second).unwrap_or(jiff::Timestamp::MAX);
            self.text = format!("{date:.3}");
        }
        let millis = unix.subsec_millis();
        let at = self.text.len().saturating_sub("000Z".len());
        self.text.truncate(at);
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            self.text.push(char::from(b'0' + digit as u8));
        }
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_shows_each_moment_to_the_millisecond() {
        let at = Instant::now();
        let mut clock = Clock {
            at,
            unix: Duration::from_millis(1_767_225_599_998),
            second: u64::MAX,
            text: String::new(),
        };
        let mut shown = |after| clock.stamp(at + Duration::from_millis(after)).to_owned();
        assert_eq!(shown(0), "2025-12-31T23:59:59.998Z");
        assert_eq!(shown(1), "2025-12-31T23:59:59.999Z");
        assert_eq!(shown(2), "2026-01-01T00:00:00.000Z");
        assert_eq!(shown(45), "2026-01-01T00:00:00.043Z");
        // An earlier one again, as when two requests of different ages are logged.
        assert_eq!(shown(1), "2025-12-31T23:59:59.999Z");
    }
}
