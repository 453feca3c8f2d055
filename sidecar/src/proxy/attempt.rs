//! From a plan to an answer: pick an instance, inject faults, send, and try again where the
//! plan allows it, all within one time limit.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use a8_common::rule::ReturnCode;
use http::header::HOST;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use smallvec::SmallVec;

use super::body::{Outbound, Progress};
use super::connect::{ConnectError, connect};
use super::limits::{Admitted, Bound};
use super::pool::Lease;
use super::record::{Flag, Record};
use super::replay::Replay;
use super::routes::Plan;
use super::trial::{Trial, Verdict};
use super::upstream::{InFlight, Upstream};
use super::worker::Worker;

/// The first pause before another attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// A connection that lay idle for longer than this may have been closed without our having
/// looked: we look before it is used.
const LOOK_AFTER: Duration = Duration::from_millis(2);

/// Why there is no answer from an instance.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody to ask.
    #[error("no instance")]
    NoInstance,
    /// Nobody answers the door.
    #[error("could not connect: {0}")]
    Connect(#[from] ConnectError),
    /// The connection ended, or what came over it was not HTTP, before there was a response.
    #[error("the connection failed before there was a response: {0}")]
    Broken(hyper::Error),
    /// More than a bound of the backend allows.
    #[error("more requests than the {} of the backend", .0.name())]
    Overflow(Bound),
    /// The time limit has passed.
    #[error("no response within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// A rule asks for this status.
    #[error("aborted by a rule")]
    Aborted(StatusCode),
    /// A rule asks for a closed connection.
    #[error("closed by a rule")]
    Closed,
    /// The caller broke off while sending.
    #[error("the caller went away")]
    CallerGone,
}

/// A response, and what is held until its body has ended.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) lease: Lease,
    pub(super) in_flight: InFlight,
}

/// A failed attempt.
struct Failed {
    why: Failure,
    /// Whether the instance may have got any of it.
    sent: bool,
}

/// Serves one request by `plan`.
///
/// The time limit counts from the head of the request or, while a body is being sent, from
/// its latest piece: an upload may take long, as long as it moves.
pub(super) async fn run(
    worker: &Rc<Worker>,
    plan: &Plan,
    head: Parts,
    body: Incoming,
    record: &mut Record,
) -> Result<Answer, Failure> {
    record.admitted = Admitted::to(&plan.backend);
    if record.admitted.is_none() {
        return Err(Failure::Overflow(Bound::Requests));
    }
    plan.backend.budget.deposit();
    let trial = Trial::new(body.is_end_stream());
    let progress: Progress = Rc::new(Cell::new(record.started()));
    let limit = plan.timeout;
    let timer = tokio::time::sleep_until((record.started() + limit).into());
    let (mut timer, mut attempts) = (
        pin!(timer),
        pin!(attempts(
            worker,
            plan,
            head,
            body,
            record,
            &trial,
            progress.clone()
        )),
    );
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = attempts.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        while timer.as_mut().poll(cx).is_ready() {
            let deadline = progress.get() + limit;
            let now = Instant::now();
            if deadline <= now {
                trial.timed_out(&plan.backend, now, limit);
                return Poll::Ready(Err(Failure::TimedOut(limit)));
            }
            timer.as_mut().reset(deadline.into());
        }
        Poll::Pending
    })
    .await
}

async fn attempts(
    worker: &Rc<Worker>,
    plan: &Plan,
    head: Parts,
    body: Incoming,
    record: &mut Record,
    trial: &Trial,
    progress: Progress,
) -> Result<Answer, Failure> {
    if plan.retries == 0 {
        let body = if body.is_end_stream() {
            Outbound::Empty
        } else {
            Outbound::Stream(body, progress)
        };
        return one(worker, plan, assemble(head, body), record, trial, &[])
            .await
            .map_err(|failed| failed.why);
    }
    let replay = (!body.is_end_stream()).then(|| Replay::new(body));
    let harmless = head.method.is_idempotent();
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let body = match &replay {
            None => Some(Outbound::Empty),
            Some(replay) => replay
                .again()
                .map(|r| Outbound::Replay(r, progress.clone())),
        };
        // The body of a later attempt has been looked at before it was decided upon.
        let Some(body) = body else {
            return Err(Failure::CallerGone);
        };
        let request = assemble(head.clone(), body);
        let outcome = one(worker, plan, request, record, trial, &tried).await;
        let sent = match &outcome {
            Ok(answer) if answer.response.status().is_server_error() => true,
            Err(failed) if failed.why.retryable() => failed.sent,
            _ => return outcome.map_err(|failed| failed.why),
        };
        let resendable = replay.as_ref().is_none_or(|r| r.again().is_some());
        let may = (harmless || !sent) && resendable;
        if !may || record.retries >= plan.retries {
            if record.retries > 0 {
                record.flag(Flag::Exhausted);
            }
            return outcome.map_err(|failed| failed.why);
        }
        if !plan.backend.budget.withdraw(Instant::now()) {
            worker.shared.metrics.retries_denied.inc();
            record.flag(Flag::Exhausted);
            return outcome.map_err(|failed| failed.why);
        }
        drop(outcome);
        tried.extend(record.upstream.as_ref().map(|u| u.key));
        record.retries += 1;
        worker.shared.metrics.retries.inc();
        tokio::time::sleep(pause + pause.mul_f64(fastrand::f64())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Failure {
    /// Whether another attempt may end differently.
    fn retryable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Broken(_) | Self::Closed => true,
            Self::Aborted(status) => status.is_server_error(),
            Self::NoInstance | Self::Overflow(_) | Self::TimedOut(_) | Self::CallerGone => false,
        }
    }
}

fn assemble(head: Parts, body: Outbound) -> Request<Outbound> {
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = head.headers;
    request
}

/// One attempt, faults included.
async fn one(
    worker: &Rc<Worker>,
    plan: &Plan,
    mut request: Request<Outbound>,
    record: &mut Record,
    trial: &Trial,
    tried: &[u64],
) -> Result<Answer, Failed> {
    let unsent = |why: Failure| Failed { why, sent: false };
    if let Some(delay) = plan.delay {
        tokio::time::sleep(delay).await;
    }
    match plan.abort {
        Some(ReturnCode::Status(status)) => return Err(unsent(Failure::Aborted(status))),
        Some(ReturnCode::Close(_)) => return Err(unsent(Failure::Closed)),
        None => {}
    }
    let Some(member) = plan.backend.pick(tried) else {
        return Err(unsent(Failure::NoInstance));
    };
    let upstream = member.upstream.clone();
    if let Some(host) = &upstream.host {
        request.headers_mut().insert(HOST, host.clone());
    }
    record.upstream = Some(upstream.clone());
    let in_flight = InFlight::new(upstream.clone());
    let started = match record.retries {
        0 if plan.delay.is_none() => record.started(),
        _ => Instant::now(),
    };
    trial.begin(member, started);
    let outcome = exchange(worker, &upstream, request, started).await;
    trial.end(
        &plan.backend,
        match &outcome {
            Ok((response, _)) => Verdict::of_status(response.status()),
            Err(failed) => Verdict::of_failure(&failed.why),
        },
    );
    let (response, lease) = outcome?;
    record.upstream_time = Some(started.elapsed());
    Ok(Answer {
        response,
        lease,
        in_flight,
    })
}

/// Sends the request over an idle connection or, when there is none, over a new one.
async fn exchange(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    mut request: Request<Outbound>,
    now: Instant,
) -> Result<(Response<Incoming>, Lease), Failed> {
    while let Some(taken) = worker.pool.take(upstream, now) {
        let mut lease = taken.lease;
        if taken.idle_for > LOOK_AFTER {
            // Lets the runtime see what came over the sockets, and the connection's driver
            // act on it, before we trust the connection.
            tokio::task::yield_now().await;
            if !lease.sender.is_ready() {
                continue;
            }
        }
        match lease.sender.try_send_request(request).await {
            Ok(response) => return Ok((response, lease)),
            Err(mut e) => match e.take_message() {
                // It was closed before anything was sent: as if it had never been there.
                Some(unsent) => request = unsent,
                None => return Err(broken(e.into_error(), true)),
            },
        }
    }
    let mut lease = connect(worker, upstream).await.map_err(|e| Failed {
        why: e.into(),
        sent: false,
    })?;
    match lease.sender.try_send_request(request).await {
        Ok(response) => Ok((response, lease)),
        Err(mut e) => {
            let sent = e.take_message().is_none();
            Err(broken(e.into_error(), sent))
        }
    }
}

fn broken(e: hyper::Error, sent: bool) -> Failed {
    // The only thing of ours that can fail in a request is its body.
    let why = if e.is_user() {
        Failure::CallerGone
    } else {
        Failure::Broken(e)
    };
    Failed { why, sent }
}
