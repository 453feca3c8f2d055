//! Bytes both ways between a caller and an instance, as they come and as fast as they are
//! taken: for byte streams, and for HTTP connections that have changed their protocol.
//!
//! A side that has nothing more to say ends its own direction only. Nothing is read that
//! could not be passed on yet, beside one piece: a side that does not read slows the other
//! down. What is read goes through one buffer that all connections of a worker share; only
//! a piece that the other side does not take at once is kept by its connection.

mod side;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::ReadBuf;

use super::record::Flag;
pub(super) use side::{Ahead, Side};

/// How long a connection may stay open without a byte either way.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// The most that is read at a time.
const PIECE: usize = 64 * 1024;

/// What the log says of a connection that the sidecar ended because it stops.
pub(super) const STOPPED: &str = "stopped";

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both sides have said all they had to say, or one is gone and the other was told.
    Closed,
    /// The caller broke off.
    ResetByCaller,
    /// The instance broke off.
    ResetByInstance,
    /// Nothing moved for too long.
    Idle,
}

impl End {
    /// As the log writes it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ResetByCaller => "reset_by_caller",
            Self::ResetByInstance => "reset_by_instance",
            Self::Idle => "idle",
        }
    }

    /// What the log's flags say of it.
    pub(super) const fn flag(self) -> Option<Flag> {
        match self {
            Self::ResetByCaller => Some(Flag::CallerGone),
            Self::ResetByInstance => Some(Flag::Broken),
            Self::Closed | Self::Idle => None,
        }
    }
}

/// A buffer for reading, shared by all connections of a worker. It takes no memory before it
/// is needed.
#[derive(Debug, Default)]
pub(super) struct Scratch(RefCell<Vec<u8>>);

/// What has been passed on, readable while it goes on.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Bytes from the caller to the instance.
    pub(super) to_instance: Cell<u64>,
    /// Bytes from the instance to the caller.
    pub(super) to_caller: Cell<u64>,
}

/// The two streams. Dropped before both directions have ended they are reset, so that
/// neither side takes what it got for the whole.
pub(super) struct Pair<C: Side, I: Side> {
    caller: C,
    instance: I,
    ended: bool,
}

impl<C: Side, I: Side> Pair<C, I> {
    pub(super) fn new(caller: C, instance: I) -> Self {
        Self {
            caller,
            instance,
            ended: false,
        }
    }

    /// Passes bytes on until both sides have ended, one has broken off, or nothing has moved
    /// for `idle`. `count` is told of each piece that was passed on.
    pub(super) async fn relay(
        &mut self,
        scratch: &Scratch,
        moved: &Moved,
        idle: Duration,
        count: impl Fn(Toward, u64),
    ) -> End {
        scratch.0.borrow_mut().resize(PIECE, 0);
        let last = Cell::new(Instant::now());
        let passed = |toward, n: u64| {
            last.set(Instant::now());
            let total = match toward {
                Toward::Instance => &moved.to_instance,
                Toward::Caller => &moved.to_caller,
            };
            total.set(total.get() + n);
            count(toward, n);
        };
        let (mut up, mut down) = (Way::new(Toward::Instance), Way::new(Toward::Caller));
        let mut timer = std::pin::pin!(tokio::time::sleep(idle));
        let end = poll_fn(|cx| {
            let mut scratch = scratch.0.borrow_mut();
            let (caller, instance) = (&mut self.caller, &mut self.instance);
            let up = up.poll(cx, caller, instance, &mut scratch, &passed);
            let down = down.poll(cx, instance, caller, &mut scratch, &passed);
            match (up, down) {
                (Poll::Ready(Err(_)), _) => return Poll::Ready(End::ResetByCaller),
                (_, Poll::Ready(Err(_))) => return Poll::Ready(End::ResetByInstance),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(End::Closed),
                _ => {}
            }
            while timer.as_mut().poll(cx).is_ready() {
                let deadline = last.get() + idle;
                if deadline <= Instant::now() {
                    return Poll::Ready(End::Idle);
                }
                timer.as_mut().reset(deadline.into());
            }
            Poll::Pending
        })
        .await;
        self.ended = end == End::Closed;
        end
    }
}

impl<C: Side, I: Side> Drop for Pair<C, I> {
    fn drop(&mut self) {
        if !self.ended {
            self.caller.break_off();
            self.instance.break_off();
        }
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toward {
    /// From the caller.
    Instance,
    /// From the instance.
    Caller,
}

/// One direction.
struct Way {
    toward: Toward,
    state: State,
    /// Whether something was taken that may not have been sent yet, as under TLS.
    unsent: bool,
}

enum State {
    /// Reading.
    Open,
    /// A piece, and how much of it has been taken.
    Held(Vec<u8>, usize),
    /// All was passed on; the other side is to be told.
    Ending,
    /// The other side was told, or takes nothing any more.
    Ended,
}

impl Way {
    fn new(toward: Toward) -> Self {
        Self {
            toward,
            state: State::Open,
            unsent: false,
        }
    }

    /// Ready once there is nothing more to do; an error is that `from` has broken off.
    ///
    /// That `to` takes nothing any more only ends this direction: it may have sent
    /// something before, and how it ended shows in the other one.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        to: &mut impl Side,
        scratch: &mut [u8],
        passed: &impl Fn(Toward, u64),
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Open => {
                    let mut read = ReadBuf::new(scratch);
                    if Pin::new(&mut *from).poll_read(cx, &mut read)?.is_pending() {
                        // What was taken must not wait for what comes next.
                        if self.unsent && ready!(Pin::new(&mut *to).poll_flush(cx)).is_err() {
                            self.state = State::Ended;
                            continue;
                        }
                        self.unsent = false;
                        return Poll::Pending;
                    }
                    let piece = read.filled();
                    if piece.is_empty() {
                        self.state = State::Ending;
                        continue;
                    }
                    let mut taken = 0;
                    let written = poll_write_all(cx, to, piece, &mut taken);
                    if taken > 0 {
                        self.unsent = true;
                        passed(self.toward, taken as u64);
                    }
                    match written {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(_)) => self.state = State::Ended,
                        Poll::Pending => {
                            self.state = State::Held(piece[taken..].to_vec(), 0);
                            return Poll::Pending;
                        }
                    }
                }
                State::Held(piece, done) => {
                    let before = *done;
                    let written = poll_write_all(cx, to, piece, done);
                    if *done > before {
                        self.unsent = true;
                        passed(self.toward, (*done - before) as u64);
                    }
                    self.state = match ready!(written) {
                        Ok(()) => State::Open,
                        Err(_) => State::Ended,
                    };
                }
                State::Ending => {
                    // One that is gone already need not be told.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Writes what follows the first `done` bytes of `piece`, as far as it is taken.
fn poll_write_all(
    cx: &mut Context<'_>,
    to: &mut impl Side,
    piece: &[u8],
    done: &mut usize,
) -> Poll<io::Result<()>> {
    while *done < piece.len() {
        match ready!(Pin::new(&mut *to).poll_write(cx, &piece[*done..]))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            n => *done += n,
        }
    }
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests;
