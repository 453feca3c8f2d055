//! One request over one connection: an idle one if there is one, else a new one.

use std::time::{Duration, Instant};

use http::header::TRANSFER_ENCODING;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};

use super::acquire::acquire;
use super::aim::Aim;
use super::attempt::{Failed, Failure};
use super::body::Outbound;
use super::pool::Lease;
use super::translate;

/// A connection that lay idle for longer than this may have been closed without our having
/// looked: we look before it is used.
const LOOK_AFTER: Duration = Duration::from_millis(2);

/// Sends the request over a connection that is there or, when there is none, over a new one.
pub(super) async fn exchange(
    aim: &mut Aim<'_>,
    mut request: Request<Outbound>,
    now: Instant,
) -> Result<(Response<Incoming>, Lease), Failed> {
    loop {
        let taken = acquire(aim, now).await?;
        let mut lease = taken.lease;
        if taken.idle_for.is_some_and(|idle| idle > LOOK_AFTER) {
            // Lets the runtime see what came over the sockets, and the connection's driver
            // act on it, before we trust the connection.
            tokio::task::yield_now().await;
            if !lease.is_ready() {
                continue;
            }
        }
        aim.address(&mut request);
        match over(&mut lease, request).await {
            Ok(response) => return Ok((response, lease)),
            // It was closed before anything was sent: as if it had never been there.
            Err(Unanswered {
                unsent: Some(r), ..
            }) if taken.idle_for.is_some() => request = *r,
            Err(lost) => {
                let mut failed = lost.failed();
                // The connection has ended because we have ended the request.
                let progress = aim.send.progress;
                if let Some(most) = progress.oversized() {
                    failed.why = Failure::TooLarge(most);
                } else if progress.broken_off() {
                    failed.why = Failure::CallerGone;
                }
                return Err(failed);
            }
        }
    }
}

/// A request without a response.
struct Unanswered {
    why: hyper::Error,
    /// The request, if nothing of it was sent.
    unsent: Option<Box<Request<Outbound>>>,
}

/// Sends the request in the form that the connection's version needs, at once: who waits for
/// the response need not hold the request.
fn over(
    lease: &mut Lease,
    mut request: Request<Outbound>,
) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + use<> {
    let http2 = lease.is_http2();
    if http2 {
        let upstream = lease.upstream();
        translate::to_http2(&mut request, upstream.tls.is_some(), &upstream.label);
    } else if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // Left to itself, HTTP takes it that some methods have no body and leaves it out.
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
    let response = lease.send(request);
    async move {
        response.await.map_err(|mut e| {
            let mut unsent = e.take_message().map(Box::new);
            if http2 && let Some(request) = &mut unsent {
                translate::to_http1(request);
            }
            let why = e.into_error();
            Unanswered { why, unsent }
        })
    }
}

impl Unanswered {
    fn failed(self) -> Failed {
        let sent = self.unsent.is_none() && !was_refused(&self.why);
        broken(self.why, sent)
    }
}

/// Whether the peer says that it has not looked at the request (RFC 9113, 8.7): by a reset of
/// its stream, or by an end of the connection that leaves the stream out.
fn was_refused(e: &hyper::Error) -> bool {
    let cause = std::error::Error::source(e).and_then(|e| e.downcast_ref::<h2::Error>());
    cause.is_some_and(|e| {
        e.reason() == Some(h2::Reason::REFUSED_STREAM) || (e.is_go_away() && e.is_remote())
    })
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
