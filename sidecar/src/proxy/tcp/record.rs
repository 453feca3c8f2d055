//! What is told of one connection of a TCP proxy: a line of the access log and its counts.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Port;
use crate::proxy::access_log::Line;
use crate::proxy::backend::Backend;
use crate::proxy::metrics::CodeClass;
use crate::proxy::record::{Flag, Flags, routed, stream, trace};
use crate::proxy::relay::{End, Moved, STOPPED};
use crate::proxy::routes::Plan;
use crate::proxy::upstream::Upstream;
use crate::proxy::worker::Worker;

/// The story of one connection. One that is dropped before its end was cut off by our own.
pub(super) struct Record {
    worker: Rc<Worker>,
    started: Instant,
    /// `None` when the log is off.
    line: Option<Line>,
    flags: Flags,
    backend: Option<Arc<Backend>>,
    /// Where the latest attempt went to.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// Until there was an instance to pass bytes to.
    connected_after: Option<Duration>,
    /// Attempts beyond the first.
    pub(super) retries: u32,
    pub(super) moved: Moved,
    told: bool,
}

impl Record {
    pub(super) fn begin(worker: &Rc<Worker>, port: &Port) -> Self {
        let started = Instant::now();
        let line = worker.log.as_ref().map(|_| {
            let mut line = Line::begin(worker.buffers.take());
            line.plain("start_time", worker.clock.borrow_mut().stamp(started));
            line.text("src", worker.shared.caller.load().label.as_bytes());
            line.plain("protocol", "TCP");
            line.number("listener_port", u64::from(port.number));
            line
        });
        Self {
            worker: worker.clone(),
            started,
            line,
            flags: Flags::default(),
            backend: None,
            upstream: None,
            connected_after: None,
            retries: 0,
            moved: Moved::default(),
            told: false,
        }
    }

    /// Adds a member that a trace rule asks for.
    pub(super) fn trace(&mut self, key: &str, value: &str) {
        if let Some(line) = &mut self.line {
            trace(line, key, value);
        }
    }

    /// Adds where it is to go, and what is done to it on purpose.
    pub(super) fn routed(&mut self, plan: &Plan) {
        self.backend = Some(plan.backend.clone());
        if plan.delay.is_some() {
            self.flag(Flag::Delayed);
        }
        if let Some(fault) = plan.note_faults(&self.worker.shared.metrics)
            && let Some(line) = &mut self.line
        {
            line.named("fault", &fault);
        }
    }

    /// There is an instance to pass bytes to.
    pub(super) fn connected(&mut self) {
        self.connected_after = Some(self.started.elapsed());
    }

    /// Adds a flag.
    pub(super) fn flag(&mut self, flag: Flag) {
        self.flags.add(flag);
    }

    /// It was closed without having been connected.
    pub(super) fn refused(mut self, why: Flag) {
        self.flag(why);
        self.tell("refused");
    }

    /// It is over.
    pub(super) fn ended(mut self, end: End) {
        if let Some(flag) = end.flag() {
            self.flag(flag);
        }
        self.tell(end.label());
    }

    fn tell(&mut self, end: &'static str) {
        self.told = true;
        let took = self.started.elapsed();
        let stats = match &self.backend {
            Some(backend) => &backend.stats,
            None => &self.worker.shared.metrics.unknown,
        };
        let class = match self.connected_after {
            Some(_) => CodeClass::Tcp,
            None => CodeClass::None,
        };
        stats.observe(class, took);
        let (Some(mut line), Some(log)) = (self.line.take(), &self.worker.log) else {
            return;
        };
        line.seconds("request_time", Some(took));
        line.seconds("upstream_response_time", self.connected_after);
        stream(&mut line, &self.moved, end);
        let (backend, upstream) = (self.backend.as_deref(), self.upstream.as_deref());
        routed(&mut line, backend, upstream, self.retries, self.flags);
        let text = line.end();
        log.put(&text);
        self.worker.buffers.give(text);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.told {
            self.tell(STOPPED);
        }
    }
}
