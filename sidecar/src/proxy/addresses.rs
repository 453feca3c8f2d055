//! Where one instance can be connected to: an address, or those that its name has now.
//!
//! Names are looked up elsewhere and ahead of time; whoever connects finds the addresses
//! here, and waits only for the very first answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

/// What is known of an instance's addresses at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The addresses, each once. Those of the latest good answer.
    pub list: Box<[SocketAddr]>,
    /// Why the latest look-up failed, if it did.
    pub error: Option<Arc<str>>,
}

impl Known {
    /// Whether there has been an answer, good or bad.
    fn heard(&self) -> bool {
        !self.list.is_empty() || self.error.is_some()
    }
}

/// The addresses of one instance, read by all workers.
#[derive(Debug)]
pub struct Addresses {
    known: ArcSwap<Known>,
    /// Which address the next connection begins with.
    turn: AtomicUsize,
    heard: Notify,
    /// Whom to tell that an address may be wrong.
    doubts: OnceLock<Arc<Notify>>,
}

impl Addresses {
    /// One address that never changes.
    pub(super) fn fixed(address: SocketAddr) -> Self {
        let known = Known {
            list: [address].into(),
            error: None,
        };
        Self::new(known)
    }

    /// Those of a name that has not been looked up.
    pub(crate) fn unknown() -> Self {
        Self::new(Known::default())
    }

    fn new(known: Known) -> Self {
        Self {
            known: ArcSwap::from_pointee(known),
            // Many sidecars begin at the same time: they should not all begin with the same
            // address.
            turn: AtomicUsize::new(fastrand::usize(..)),
            heard: Notify::new(),
            doubts: OnceLock::new(),
        }
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Replaces what is known. Connections in use are left alone; idle ones to addresses
    /// that are gone are closed by their pools.
    pub fn set(&self, known: Known) {
        if **self.known.load() != known {
            self.known.store(Arc::new(known));
        }
        self.heard.notify_waiters();
    }

    /// Has `whom` told when an address could not be connected to. Only the first call counts.
    pub fn tell_doubts(&self, whom: &Arc<Notify>) {
        // A second one would come from a second resolver, and there is one.
        let _ = self.doubts.set(whom.clone());
    }

    /// What is known, once anything is. Cancel-safe.
    pub(crate) async fn first(&self) -> Arc<Known> {
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            // From here on an answer wakes us, also one that comes before we look.
            heard.as_mut().enable();
            let known = self.known.load_full();
            if known.heard() {
                return known;
            }
            heard.await;
        }
    }

    /// The position to begin with, another one each time.
    pub(super) fn turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// An address could not be connected to.
    pub(crate) fn doubt(&self) {
        if let Some(whom) = self.doubts.get() {
            whom.notify_one();
        }
    }

    /// Whether `address` is one of the addresses now.
    pub(super) fn contain(&self, address: &SocketAddr) -> bool {
        self.known.load().list.contains(address)
    }
}
