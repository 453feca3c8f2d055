//! The threads that answer: each with a runtime of its own, so that a connection stays on the
//! core where it began, and nobody is woken to look for work.
//!
//! One listener deals connections out to them in turn; [`serve()`](super::serve()) has them.

use std::io;
use std::num::NonZeroUsize;
use std::thread;

use tokio::runtime::{Builder, Handle};

use crate::task::Stop;

/// Runtimes, each driven by a thread, until this is dropped.
pub struct Hands {
    handles: Vec<Handle>,
    threads: Vec<thread::JoinHandle<()>>,
    next: usize,
    stop: Stop,
}

impl Hands {
    /// One for each core.
    ///
    /// # Errors
    /// The system refuses a thread or what a runtime waits with.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut hands = Self {
            handles: Vec::new(),
            threads: Vec::new(),
            next: 0,
            stop: Stop::new(),
        };
        for at in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            hands.handles.push(runtime.handle().clone());
            let stop = hands.stop.clone();
            let thread = thread::Builder::new().name(format!("http-{at}"));
            let thread = thread.spawn(move || runtime.block_on(stop.wait()))?;
            hands.threads.push(thread);
        }
        Ok(hands)
    }

    /// Whose turn it is.
    pub(super) fn next(&mut self) -> &Handle {
        self.next = (self.next + 1) % self.handles.len();
        &self.handles[self.next]
    }
}

impl Drop for Hands {
    fn drop(&mut self) {
        self.stop.fire();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}
