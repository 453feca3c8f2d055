//! What is told of one request: a line of the access log and its counts.
//!
//! A record lives from the head of a request to the end of its response, whichever way that
//! comes. One that is dropped unfinished says that the caller went away, or that the proxy ended.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use a8_common::model::RuleId;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;

use super::access_log::Line;
use super::backend::Backend;
use super::connections::{Busy, Connection};
use super::headers::{X_FORWARDED_FOR, X_REQUEST_ID};
use super::limits::Admitted;
use super::metrics::CodeClass;
use super::relay::{End, Moved, STOPPED};
use super::upstream::Upstream;
use super::worker::Worker;

/// The status in the log of a request whose caller went away.
const CALLER_GONE: u16 = 499;
/// That of a request without an answer when the proxy ended.
const CUT_OFF: u16 = 503;

/// What went wrong with a request, or was done to it on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flag {
    /// No healthy instance.
    NoInstance,
    /// The connection failed.
    Broken,
    /// No response in time.
    TimedOut,
    /// All retries failed as well.
    Exhausted,
    /// The caller went away.
    CallerGone,
    /// An abort was injected.
    Aborted,
    /// A delay was injected.
    Delayed,
    /// No such service.
    NoService,
    /// More than the backend's bounds allow.
    Overflow,
    /// The request is not served for what it is, whoever might serve it.
    Refused,
    /// The proxy ended before the request did.
    CutOff,
}

impl Flag {
    const ALL: [Self; 11] = [
        Self::NoInstance,
        Self::Broken,
        Self::TimedOut,
        Self::Exhausted,
        Self::CallerGone,
        Self::Aborted,
        Self::Delayed,
        Self::NoService,
        Self::Overflow,
        Self::Refused,
        Self::CutOff,
    ];

    /// As the log and the error header write it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::NoInstance => "UH",
            Self::Broken => "UF",
            Self::TimedOut => "UT",
            Self::Exhausted => "URX",
            Self::CallerGone => "DC",
            Self::Aborted => "FI",
            Self::Delayed => "DI",
            Self::NoService => "NR",
            Self::Overflow => "UO",
            Self::Refused => "BR",
            Self::CutOff => "LR",
        }
    }
}

/// Several of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags(u16);

impl Flags {
    /// Adds one.
    pub(super) fn add(&mut self, flag: Flag) {
        self.0 |= 1 << flag as u16;
    }

    fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u16 != 0
    }

    fn write(self, line: &mut Line) {
        if self == Self::default() {
            return line.plain("response_flags", "-");
        }
        let all = Flag::ALL.into_iter().filter(|flag| self.has(*flag));
        let labels: Vec<_> = all.map(Flag::label).collect();
        line.plain("response_flags", &labels.join(","));
    }
}

/// The story of one request.
pub(super) struct Record {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    started: Instant,
    /// The members that are known from the head; `None` when the log is off.
    line: Option<Line>,
    flags: Flags,
    /// Where it was routed to; `None` when nowhere.
    pub(super) backend: Option<Arc<Backend>>,
    /// Its place among the requests of the backend.
    pub(super) admitted: Option<Admitted>,
    /// Where the latest attempt went to.
    pub(super) upstream: Option<Arc<Upstream>>,
    /// From the beginning of the latest attempt to the head of its response.
    pub(super) upstream_time: Option<Duration>,
    /// What the caller was answered; 0 is no response.
    pub(super) status: u16,
    /// Attempts beyond the first.
    pub(super) retries: u32,
    finished: bool,
}

impl Record {
    /// Begins with the head of a request, before any of it is changed.
    pub(super) fn begin(
        worker: &Rc<Worker>,
        connection: &Rc<Connection>,
        head: &Parts,
        started: Instant,
    ) -> Self {
        connection.busy();
        let line = worker.log.as_ref().map(|_| {
            let mut line = Line::begin(worker.buffers.take());
            line.plain("start_time", worker.clock.borrow_mut().stamp(started));
            line.text("src", worker.shared.caller.load().label.as_bytes());
            line.text("method", head.method.as_str().as_bytes());
            let target = head.uri.path_and_query().map_or("*", |p| p.as_str());
            line.text("path", target.as_bytes());
            line.plain("protocol", protocol(head.version));
            line.maybe("auth", authority(head));
            line
        });
        Self {
            worker: worker.clone(),
            connection: connection.clone(),
            started,
            line,
            flags: Flags::default(),
            backend: None,
            admitted: None,
            upstream: None,
            upstream_time: None,
            status: 0,
            retries: 0,
            finished: false,
        }
    }

    /// Adds the members that come from the header as it is sent on.
    pub(super) fn headers(&mut self, headers: &HeaderMap) {
        if let Some(line) = &mut self.line {
            let mut field = |name, value: Option<&http::HeaderValue>| {
                line.maybe(name, value.map(http::HeaderValue::as_bytes));
            };
            field("request_id", headers.get(X_REQUEST_ID));
            field("traceparent", headers.get("traceparent"));
            field("user_agent", headers.get(USER_AGENT));
            field("x_forwarded", headers.get(X_FORWARDED_FOR));
        }
    }

    /// Adds a member that a trace rule asks for.
    pub(super) fn trace(&mut self, key: &str, value: &str) {
        if let Some(line) = &mut self.line {
            trace(line, key, value);
        }
    }

    /// Adds what was injected.
    pub(super) fn fault(&mut self, what: &str) {
        if let Some(line) = &mut self.line {
            line.named("fault", what);
        }
    }

    /// Adds a flag.
    pub(super) fn flag(&mut self, flag: Flag) {
        self.flags.add(flag);
    }

    /// Adds how the byte stream ended that the exchange became, and what was passed on.
    pub(super) fn stream(&mut self, moved: &Moved, end: Option<End>) {
        if let Some(line) = &mut self.line {
            stream(line, moved, end.map_or(STOPPED, End::label));
        }
    }

    /// Where the request is served.
    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Whether the caller's connection carries other requests at the same time.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.connection.is_multiplexed()
    }

    /// The exchange becomes a byte stream.
    pub(super) fn upgrade(&self) {
        self.connection.upgrade();
    }

    /// Has the end of the caller's connection told as a reset.
    pub(super) fn break_off(&self) {
        self.connection.break_off();
    }

    /// Keeps the caller's connection busy also when the record is finished.
    pub(super) fn hold_caller(&self) -> Busy {
        self.connection.hold()
    }

    /// When the head came in.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// The response has been handed over completely, or there will be none.
    pub(super) fn finish(mut self, now: Instant) {
        self.tell(now);
    }

    fn tell(&mut self, now: Instant) {
        self.finished = true;
        self.connection.idle();
        let took = now.saturating_duration_since(self.started);
        let counted = match &self.backend {
            Some(backend) => &backend.stats,
            None => &self.worker.shared.metrics.unknown,
        };
        let gone = self.flags.has(Flag::CallerGone);
        counted.observe(CodeClass::of(if gone { 0 } else { self.status }), took);
        let (Some(mut line), Some(log)) = (self.line.take(), &self.worker.log) else {
            return;
        };
        line.seconds("request_time", Some(took));
        line.seconds("upstream_response_time", self.upstream_time);
        line.number("status", u64::from(self.status));
        let (backend, upstream) = (self.backend.as_deref(), self.upstream.as_deref());
        routed(&mut line, backend, upstream, self.retries, self.flags);
        let text = line.end();
        log.put(&text);
        self.worker.buffers.give(text);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.finished {
            let (flag, status) = match self.worker.shared.aborted.load(Ordering::Relaxed) {
                true => (Flag::CutOff, CUT_OFF),
                false => (Flag::CallerGone, CALLER_GONE),
            };
            self.flag(flag);
            if self.status == 0 {
                self.status = status;
            }
            self.tell(Instant::now());
        }
    }
}

/// Adds what every line says of where its subject was routed to.
pub(super) fn routed(
    line: &mut Line,
    backend: Option<&Backend>,
    upstream: Option<&Upstream>,
    retries: u32,
    flags: Flags,
) {
    line.maybe("dst", backend.map(|backend| backend.label.as_bytes()));
    if let Some(backend) = backend {
        let rule = backend.key.rule.as_ref();
        line.maybe("rule", rule.map(|id: &RuleId| id.as_str().as_bytes()));
    }
    line.maybe("upstream_host", upstream.map(|u| u.label.as_bytes()));
    line.number("retries", u64::from(retries));
    flags.write(line);
}

/// Adds what is told of a byte stream.
pub(super) fn stream(line: &mut Line, moved: &Moved, end: &'static str) {
    line.number("bytes_in", moved.to_instance.get());
    line.number("bytes_out", moved.to_caller.get());
    line.plain("end", end);
}

/// Adds a member that a trace rule asks for. One that would hide a member of ours is given
/// another name.
pub(super) fn trace(line: &mut Line, key: &str, value: &str) {
    if MEMBERS.contains(&key) {
        line.named(&format!("trace_{key}"), value);
    } else {
        line.named(key, value);
    }
}

/// The members of a line that are ours.
const MEMBERS: [&str; 24] = [
    "start_time",
    "request_time",
    "upstream_response_time",
    "src",
    "dst",
    "status",
    "method",
    "path",
    "protocol",
    "response_flags",
    "request_id",
    "traceparent",
    "user_agent",
    "x_forwarded",
    "auth",
    "upstream_host",
    "rule",
    "retries",
    "fault",
    "service",
    "listener_port",
    "bytes_in",
    "bytes_out",
    "end",
];

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Whom the caller addressed, as it wrote it.
fn authority(head: &Parts) -> Option<&[u8]> {
    match head.uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => head.headers.get(http::header::HOST).map(|h| h.as_bytes()),
    }
}
