//! From a plan to an answer: pick an instance, inject faults, send, and try again where the
//! plan allows it, all within one time limit.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use a8_common::rule::ReturnCode;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use smallvec::SmallVec;

use super::aim::Aim;
use super::body::{Held, Outbound, Progress, Sent};
use super::connect::ConnectError;
use super::exchange::exchange;
use super::limits::{Admitted, Bound};
use super::record::{Flag, Record};
use super::replay::Replay;
use super::routes::Plan;
use super::trial::{Trial, Verdict};
use super::upstream::{InFlight, Traffic};
use super::worker::Worker;

/// The first pause before another attempt; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

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
    /// The body is longer than it may be.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
    /// The caller broke off while sending.
    #[error("the caller went away")]
    CallerGone,
}

/// A response, and what is held until its body has ended.
pub(super) struct Answer {
    pub(super) response: Response<Incoming>,
    pub(super) held: Held,
}

/// A failed attempt.
pub(super) struct Failed {
    pub(super) why: Failure,
    /// Whether the instance may have got any of it.
    pub(super) sent: bool,
}

/// Serves one request by `plan`.
///
/// The time limit counts from the head of the request or, while a body is being sent, from
/// its latest piece: an upload may take long, as long as it moves.
pub(super) async fn run(
    worker: &Rc<Worker>,
    plan: &Plan,
    traffic: Traffic,
    head: Parts,
    body: Incoming,
    record: &mut Record,
) -> Result<Answer, Failure> {
    record.admitted = Admitted::to(&plan.backend);
    if record.admitted.is_none() {
        plan.backend.waits.refuse(Bound::Requests);
        return Err(Failure::Overflow(Bound::Requests));
    }
    plan.backend.budget.deposit();
    let trial = Trial::new(body.is_end_stream());
    let progress = Progress::new(record.started(), worker.shared.max_request_body);
    let limit = plan.timeout;
    let timer = tokio::time::sleep_until((record.started() + limit).into());
    let send = Sending {
        worker,
        plan,
        traffic,
        trial: &trial,
        progress: &progress,
    };
    let (mut timer, mut attempts) = (pin!(timer), pin!(attempts(&send, head, body, record)));
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
    send: &Sending<'_>,
    head: Parts,
    body: Incoming,
    record: &mut Record,
) -> Result<Answer, Failure> {
    let (plan, progress) = (send.plan, send.progress);
    if plan.retries == 0 {
        let body = if body.is_end_stream() {
            Outbound::Empty
        } else {
            Outbound::Stream(body, Sent::new(progress, record.hold_caller()))
        };
        return one(send, assemble(head, body), record, &[])
            .await
            .map_err(|failed| failed.why);
    }
    // Kept out of the state of requests that are sent once.
    Box::pin(repeated(send, head, body, record)).await
}

/// Attempts, as many as are needed and allowed.
async fn repeated(
    send: &Sending<'_>,
    head: Parts,
    body: Incoming,
    record: &mut Record,
) -> Result<Answer, Failure> {
    let (plan, progress) = (send.plan, send.progress);
    let replay = (!body.is_end_stream()).then(|| Replay::new(body));
    let harmless = head.method.is_idempotent();
    let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
    let mut pause = FIRST_PAUSE;
    loop {
        let body = match &replay {
            None => Some(Outbound::Empty),
            Some(replay) => replay
                .again()
                .map(|r| Outbound::Replay(r, Sent::new(progress, record.hold_caller()))),
        };
        // The body of a later attempt has been looked at before it was decided upon.
        let Some(body) = body else {
            return Err(Failure::CallerGone);
        };
        let request = assemble(head.clone(), body);
        let outcome = one(send, request, record, &tried).await;
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
            send.worker.shared.metrics.retries_denied.inc();
            record.flag(Flag::Exhausted);
            return outcome.map_err(|failed| failed.why);
        }
        drop(outcome);
        tried.extend(record.upstream.as_ref().map(|u| u.key));
        record.retries += 1;
        send.worker.shared.metrics.retries.inc();
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
            Self::NoInstance
            | Self::Overflow(_)
            | Self::TimedOut(_)
            | Self::TooLarge(_)
            | Self::CallerGone => false,
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

/// What all attempts for one request have in common.
pub(super) struct Sending<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) plan: &'a Plan,
    pub(super) traffic: Traffic,
    pub(super) trial: &'a Trial,
    pub(super) progress: &'a Progress,
}

/// One attempt, faults included.
async fn one(
    send: &Sending<'_>,
    request: Request<Outbound>,
    record: &mut Record,
    tried: &[u64],
) -> Result<Answer, Failed> {
    let unsent = |why: Failure| Failed { why, sent: false };
    let plan = send.plan;
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
    let started = match record.retries {
        0 if plan.delay.is_none() => record.started(),
        _ => Instant::now(),
    };
    let mut aim = Aim::new(send, record, tried);
    aim.at(member, started);
    let outcome = exchange(&mut aim, request, started).await;
    let in_flight = aim.in_flight();
    let verdict = match &outcome {
        Ok((response, _)) => Verdict::of_status(response.status()),
        Err(failed) => Verdict::of_failure(&failed.why),
    };
    send.trial.end(&plan.backend, verdict);
    let (response, lease) = outcome?;
    let in_flight = in_flight.unwrap_or_else(|| InFlight::new(lease.upstream().clone()));
    record.upstream_time = Some(started.elapsed());
    let held = Held {
        lease,
        in_flight,
        progress: send.progress.clone(),
        patience: send.worker.shared.idle_timeout,
    };
    Ok(Answer { response, held })
}
