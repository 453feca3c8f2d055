//! Keeps a view of what a server holds: watches where the server can be watched, polls where
//! it cannot.
//!
//! [`Client`] is a [`Source`]; the adapters for registry and controller are made of it. One
//! turn of its loop asks one server once. A stream that ends is resumed where it was, after a
//! pause that grows with every failure; where several servers are named, each failure moves
//! on to the next.
//!
//! A server that has no watch answers the same request with its plain list, or refuses it as
//! the original registry does; either way it is then asked again every `poll`, and for a watch
//! again after [`LISTS_BEFORE_WATCH`] lists at the latest. A watched server that falls silent is given
//! up after two to three bookmark intervals, however long `poll` is.

mod keeper;
mod report;
mod session;

use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{BOOKMARK_INTERVAL, MAX_LINE_BYTES, Wire};
use crate::peer::{self, Peer};
use crate::source::{Link, Source};
use crate::task::{Stop, jittered};
use crate::view::Publisher;
use keeper::Keeper;
use report::Report;
use session::{Ask, End, Failure, Session};

/// How many lists are asked for before a watch is tried again where it did not work.
pub const LISTS_BEFORE_WATCH: u32 = 10;

/// How long things may take, and how long a line may be.
#[derive(Debug, Clone)]
struct Limits {
    /// Until the head of an answer, and until a list is complete.
    reply: Duration,
    /// Between two lines.
    silence: Duration,
    /// Between two lists.
    poll: Duration,
    /// The first pause after a failure, and the longest before jitter.
    pauses: (Duration, Duration),
    /// Bytes of one line or list.
    bytes: usize,
}

impl Limits {
    fn new(poll: Duration) -> Self {
        Self {
            reply: Duration::from_secs(10),
            silence: poll.clamp(2 * BOOKMARK_INTERVAL, 3 * BOOKMARK_INTERVAL),
            poll,
            pauses: (Duration::from_millis(200), Duration::from_secs(5)),
            bytes: MAX_LINE_BYTES,
        }
    }
}

/// A source of the items that a registry or a controller holds.
pub struct Client<T> {
    peer: Peer,
    path: &'static str,
    limits: Limits,
    items: PhantomData<fn() -> T>,
}

impl<T: Wire> Client<T> {
    /// A client that asks `peer` for `path`, every `poll` where it cannot be watched.
    pub fn new(peer: Peer, path: &'static str, poll: Duration) -> Self {
        Self {
            peer,
            path,
            limits: Limits::new(poll),
            items: PhantomData,
        }
    }

    async fn keep(&self, out: Publisher<T>, link: watch::Sender<Link>) {
        let mut keeper = Keeper::new(out);
        let mut report = Report::new(T::LIST, link);
        let mut pauses = self.pauses();
        // Lists still to be asked for before a watch is tried again, and watches in a row
        // that told nothing.
        let mut lists = 0_u32;
        let mut barren = 0_u32;
        loop {
            let index = self.peer.current();
            let ask = if lists > 0 { Ask::List } else { Ask::Watch };
            let begin = Instant::now();
            let mut session = Session {
                peer: &self.peer,
                index,
                path: self.path,
                limits: &self.limits,
                keeper: &mut keeper,
                report: &mut report,
                fruitful: false,
            };
            let end = session.run(ask).await;
            let fruitful = session.fruitful;
            // A server that breaks off again and again is not to be asked at full speed.
            if fruitful && (matches!(end, End::Listed) || begin.elapsed() > self.limits.pauses.1) {
                pauses = self.pauses();
            }
            let pause = match end {
                End::Listed => {
                    lists = lists.saturating_sub(1);
                    jittered(self.limits.poll)
                }
                End::Unwatchable => {
                    lists = LISTS_BEFORE_WATCH;
                    continue;
                }
                End::Failed(failure) => {
                    report.failed(self.peer.url(index), &failure);
                    keeper.interrupted();
                    self.peer.leave(index);
                    // A stream that something on the way holds back is made up for by lists.
                    let held_back = ask == Ask::Watch && !fruitful && failure.is_of_stream();
                    barren = if held_back { barren + 1 } else { 0 };
                    lists = (barren * barren).min(LISTS_BEFORE_WATCH);
                    let pause = pauses.next().unwrap_or(self.limits.pauses.1);
                    pause.max(self.told_to_wait(&failure))
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The least pause that the server itself asks for. With other servers to go to it does
    /// not count.
    fn told_to_wait(&self, failure: &Failure) -> Duration {
        let Failure::Peer(peer::Error::Refused {
            status,
            retry_after,
            ..
        }) = failure
        else {
            return Duration::ZERO;
        };
        match *status {
            _ if self.peer.len() > 1 => Duration::ZERO,
            // Nothing but a new token helps, and that does not come by asking often.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.limits.poll,
            _ => retry_after.unwrap_or_default(),
        }
    }

    fn pauses(&self) -> ExponentialBackoff {
        let (first, longest) = self.limits.pauses;
        ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(longest)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(fastrand::u64(..))
            .build()
    }
}

#[async_trait]
impl<T: Wire> Source<T> for Client<T> {
    async fn run(self: Box<Self>, out: Publisher<T>, link: watch::Sender<Link>, stop: Stop) {
        stop.race(self.keep(out, link)).await;
    }
}

#[cfg(test)]
mod tests;
