//! What an attempt says about the instance that it went to.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::attempt::Failure;
use super::backend::Backend;
use super::connect::ConnectError;
use super::roster::Member;

/// How an instance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It served.
    Good,
    /// It failed.
    Bad,
    /// What happened was not its doing.
    None,
}

impl Verdict {
    /// An instance answered.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status.is_server_error() {
            true => Self::Bad,
            false => Self::Good,
        }
    }

    /// There was no answer. What our own rules and bounds do says nothing of an instance,
    /// and neither does what this machine has run out of.
    pub(super) fn of_failure(why: &Failure) -> Self {
        match why {
            Failure::Connect(why) => Self::of_connect(why),
            Failure::Broken(_) => Self::Bad,
            Failure::NoInstance
            | Failure::Overflow(_)
            | Failure::TimedOut(_)
            | Failure::Aborted(_)
            | Failure::Closed
            | Failure::TooLarge(_)
            | Failure::CallerGone => Self::None,
        }
    }

    /// There was no connection.
    pub(super) fn of_connect(why: &ConnectError) -> Self {
        match why {
            ConnectError::Io(e) if is_ours(e) => Self::None,
            _ => Self::Bad,
        }
    }

    /// Tells the backend.
    pub(super) fn on(self, member: &Arc<Member>, backend: &Backend) {
        match self {
            Self::Good => member.succeeded(),
            Self::Bad => backend.failed(member),
            Self::None => {}
        }
    }
}

/// Whether this machine could not even begin to connect.
fn is_ours(e: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    e.raw_os_error()
        .is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

/// The attempt that is under way, for whoever cuts it short.
#[derive(Debug)]
pub(super) struct Trial {
    member: RefCell<Option<(Arc<Member>, Instant)>>,
    /// Whether the whole request was there at once. A caller that sends its body slowly must
    /// not be able to discredit an instance.
    whole: bool,
}

impl Trial {
    /// Of a request that was there as a whole at once, or was not.
    pub(super) fn new(whole: bool) -> Self {
        Self {
            member: RefCell::default(),
            whole,
        }
    }

    /// An instance is asked.
    pub(super) fn begin(&self, member: Arc<Member>, now: Instant) {
        *self.member.borrow_mut() = Some((member, now));
    }

    /// Nobody is asked for now.
    pub(super) fn pause(&self) {
        self.member.take();
    }

    /// It was found out how it did.
    pub(super) fn end(&self, backend: &Backend, verdict: Verdict) {
        if let Some((member, _)) = self.member.take() {
            verdict.on(&member, backend);
        }
    }

    /// The time limit has passed. That is the instance's doing if it had most of the time:
    /// attempts before it, delays and waiting are not its fault.
    pub(super) fn timed_out(&self, backend: &Backend, now: Instant, limit: Duration) {
        if let Some((member, since)) = self.member.take()
            && self.whole
            && now.saturating_duration_since(since) >= limit / 2
        {
            backend.failed(&member);
        }
    }
}
