//! Connections that several requests want at the same time are opened once.

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
        slot.dialling = Some(Rc::default());
        Dial::Go(Dialling {
            pool: self.clone(),
            key: upstream.key,
        })
    }
}

/// Who opens a connection that others may share.
pub(in crate::proxy) enum Dial {
    /// The asker; the others wait until this is dropped.
    Go(Dialling),
    /// Somebody else does: the asker is told when it is over, whichever way.
    Wait(Rc<Notify>),
}

/// The right to open a connection; it ends with the attempt.
pub(in crate::proxy) struct Dialling {
    pool: Rc<Pool>,
    key: u64,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let mut slots = self.pool.slots.borrow_mut();
        if let Some(others) = slots.get_mut(&self.key).and_then(|s| s.dialling.take()) {
            others.notify_waiters();
        }
    }
}
