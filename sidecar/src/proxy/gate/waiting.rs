//! Both ends of a place in the queue for a connection.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Charge, Gate};

/// What somebody who waited is given.
#[derive(Debug)]
pub(in crate::proxy) enum Grant {
    /// The right to open a connection.
    Open(Charge),
    /// A connection of the same worker, which lies ready there.
    Lent,
}

/// A request in the queue, as others see it.
#[derive(Debug)]
pub(in crate::proxy) struct Waiter {
    pub(in crate::proxy) ticket: u64,
    pub(super) worker: usize,
    /// Whether it can use a connection in HTTP/1, and one in HTTP/2.
    pub(super) http2: (bool, bool),
    /// Whether it counts as waiting.
    pub(super) counts: bool,
    pub(super) since: Instant,
    pub(super) grant: oneshot::Sender<Grant>,
}

impl Waiter {
    pub(super) fn can_use(&self, http2: bool) -> bool {
        if http2 { self.http2.1 } else { self.http2.0 }
    }

    /// Lets it go on. Nothing is lost if it has gone away: what it was given ends.
    pub(in crate::proxy) fn grant(self, grant: Grant) {
        drop(self.grant.send(grant));
    }
}

/// A request's own end of its place; it leaves the queue when this is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Waiting {
    gate: Arc<Gate>,
    pub(in crate::proxy) ticket: u64,
    granted: oneshot::Receiver<Grant>,
}

impl Waiting {
    pub(super) fn new(gate: Arc<Gate>, ticket: u64, granted: oneshot::Receiver<Grant>) -> Self {
        Self {
            gate,
            ticket,
            granted,
        }
    }

    /// Waits for its turn. Cancel-safe: the place is kept until this is dropped, and what was
    /// granted is given on to the next.
    pub(in crate::proxy) async fn granted(&mut self) -> Option<Grant> {
        // The other end goes away only with a grant.
        (&mut self.granted).await.ok()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.gate.leave(self.ticket);
    }
}
