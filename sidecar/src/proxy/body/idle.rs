//! Ends an exchange whose bodies no longer move.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::Progress;

/// Watches over the bodies of an exchange. A timer is made when there is something to wait
/// for, so a body that comes with its head costs none.
pub(in crate::proxy) struct Idle {
    progress: Progress,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether others look, too.
    shared: bool,
}

impl Idle {
    /// One that is patient for `patience` since `progress`.
    pub(super) fn new(progress: Progress, patience: Duration) -> Self {
        Self {
            progress,
            patience,
            timer: None,
            shared: false,
        }
    }

    /// Whether the request came to no end by its caller's doing: it was longer than it may be,
    /// or was broken off.
    pub(super) fn cut_off(&self) -> bool {
        self.progress.oversized().is_some() || self.progress.broken_off()
    }

    /// One that watches over the same bodies from now on.
    pub(super) fn again(&self) -> Self {
        Self::new(self.progress.clone(), self.patience)
    }

    /// Another one that watches beside it.
    pub(super) fn share(&mut self) -> Self {
        self.shared = true;
        self.again()
    }

    /// How the bodies stand.
    pub(in crate::proxy) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// A piece has moved.
    pub(super) fn moved(&self) {
        // Without a timer nobody looks: the first wait counts from its own beginning.
        if self.timer.is_some() || self.shared {
            self.progress.set(Instant::now());
        }
        self.progress.hand_over(true);
    }

    /// There is no piece yet.
    pub(super) fn waits(&self) {
        self.progress.hand_over(false);
    }

    /// Ready when nothing has moved for too long.
    pub(in crate::proxy) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (progress, patience) = (&self.progress, self.patience);
        let timer = self.timer.get_or_insert_with(|| {
            progress.set(Instant::now());
            Box::pin(sleep_until((progress.get() + patience).into()))
        });
        loop {
            ready!(timer.as_mut().poll(cx));
            let end = progress.get() + patience;
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(end.into());
        }
    }
}
