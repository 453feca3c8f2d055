//! Connections that several requests want at the same time are opened once.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Pool, Slot};
use crate::proxy::upstream::Upstream;

impl Pool {
    /// Asks for the right to open a connection that others may share. Who is second waits
    /// for the first.
    pub(in crate::proxy) fn dial(self: &Rc<Self>, upstream: &Arc<Upstream>) -> Dial {
        let mut slots = self.slots.borrow_mut();
        let slot = Slot::of(&mut slots, upstream);
        if let Some(first) = &slot.dialling {
            return Dial::Wait(first.clone());
        }
        let first: Rc<First> = Rc::default();
        slot.dialling = Some(first.clone());
        Dial::Go(Dialling {
            pool: self.clone(),
            key: upstream.key,
            first,
        })
    }
}

/// Who opens a connection that others may share.
pub(in crate::proxy) enum Dial {
    /// The asker; the others wait until this is dropped.
    Go(Dialling),
    /// Somebody else does.
    Wait(Rc<First>),
}

/// The first of those who want a connection, as the others see it.
#[derive(Debug, Default)]
pub(in crate::proxy) struct First {
    over: Notify,
    failed: Cell<bool>,
}

impl First {
    /// Waits until the attempt is over. Whether there is nothing more to wait for: one that has
    /// come about may be full already, but then it is worth asking for the next.
    pub(in crate::proxy) async fn failed(&self) -> bool {
        self.over.notified().await;
        self.failed.get()
    }
}

/// The right to open a connection; it ends with the attempt.
pub(in crate::proxy) struct Dialling {
    pool: Rc<Pool>,
    key: u64,
    first: Rc<First>,
}

impl Dialling {
    /// There will be no connection: the others need not try one after the other. An attempt that
    /// is only broken off says nothing of the instance.
    pub(in crate::proxy) fn fail(self) {
        self.first.failed.set(true);
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut slots = self.pool.slots.borrow_mut();
        if let Some(slot) = slots.get_mut(&self.key) {
            slot.dialling = None;
        }
        self.first.over.notify_waiters();
    }
}
