//! What becomes of connections that somebody waits for.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::account::{Account, Forgotten};
use super::{Lease, Pool, Sender, Shared};
use crate::proxy::gate::{Charge, Gate, Grant, Offer, Waiting};

impl Lease {
    /// Connections of the backend are wanted back: this one goes to a request of the same
    /// worker, or is closed for one elsewhere. Given back when nobody wants it after all.
    pub(super) fn offer(self, now: Instant) -> Option<Self> {
        let Some(gate) = self.using.gate() else {
            return Some(self);
        };
        match gate.offer(self.pool.worker, self.is_http2()) {
            Offer::Keep => Some(self),
            Offer::Lend(waiter) => {
                let pool = self.pool.clone();
                pool.tray.borrow_mut().insert(waiter.ticket, self);
                waiter.grant(Grant::Lent);
                None
            }
            Offer::GiveUp => {
                let (pool, account) = (self.pool.clone(), self.using.account().clone());
                if let Sender::Two(stream) = &self.sender {
                    stream.ended(now);
                }
                drop(self);
                if account.forget(&gate) == Forgotten::Last {
                    pool.close(&account);
                }
                None
            }
        }
    }
}

impl Pool {
    /// Gives up an idle connection that is counted for the backend of `gate`, if there is
    /// one: another can be opened once it has ended.
    pub(in crate::proxy) fn evict(&self, gate: &Gate) -> bool {
        for slot in self.slots.borrow_mut().values_mut() {
            if let Some(at) = slot.idle.iter().position(|c| c.is_of(gate)) {
                slot.idle.remove(at);
                self.idle.set(self.idle.get() - 1);
                return true;
            }
            for at in 0..slot.shared.len() {
                match slot.shared[at].forget(gate) {
                    Forgotten::Not => continue,
                    Forgotten::Share => {}
                    Forgotten::Last => drop(slot.shared.swap_remove(at)),
                }
                return true;
            }
        }
        false
    }

    /// Gives up idle connections that others wait for, as many as they wait for.
    pub(in crate::proxy) fn give_up(&self) {
        let mut given: HashMap<u64, u32> = HashMap::new();
        let mut take = |gate: &Arc<Gate>| {
            let given = given.entry(gate.id).or_default();
            let wanted = *given < gate.pressure();
            *given += u32::from(wanted);
            wanted
        };
        let mut left = 0;
        for slot in self.slots.borrow_mut().values_mut() {
            slot.idle.retain(|c| !c.wanted_back().iter().any(&mut take));
            left += slot.idle.len();
            slot.shared.retain(|shared| {
                let mut wanted = shared.wanted_back().into_iter();
                !wanted.any(|gate| take(&gate) && shared.forget(&gate) == Forgotten::Last)
            });
        }
        self.idle.set(left);
    }

    fn close(&self, account: &Rc<Account>) {
        for slot in self.slots.borrow_mut().values_mut() {
            slot.shared.retain(|shared| !shared.has(account));
        }
    }
}

impl Shared {
    /// Lends its free places to those who wait.
    pub(super) fn lend_places(self: &Rc<Self>) {
        for gate in self.wanted() {
            let Some(pool) = self.pool.upgrade() else {
                return;
            };
            while gate.pressure() > 0
                && self.has_room()
                && self.is_current()
                && self.allows(&gate)
                && let Some(using) = self.begin(&gate)
                && let Offer::Lend(waiter) = gate.offer(pool.worker, true)
            {
                let lease = pool.stream(self, using);
                pool.tray.borrow_mut().insert(waiter.ticket, lease);
                waiter.grant(Grant::Lent);
            }
        }
    }
}

/// A request that waits for a connection.
pub(in crate::proxy) struct Wait {
    waiting: Waiting,
    pool: Rc<Pool>,
}

/// What it waited for.
pub(in crate::proxy) enum Waited {
    /// The right to open a connection.
    Open(Charge),
    /// A connection.
    Lent(Lease),
}

impl Wait {
    pub(in crate::proxy) fn new(waiting: Waiting, pool: Rc<Pool>) -> Self {
        Self { waiting, pool }
    }

    /// Waits. Nothing is lost when this is dropped: what was granted goes to the next.
    pub(in crate::proxy) async fn granted(mut self) -> Option<Waited> {
        match self.waiting.granted().await? {
            Grant::Open(charge) => Some(Waited::Open(charge)),
            Grant::Lent => self.lent().map(Waited::Lent),
        }
    }

    fn lent(&self) -> Option<Lease> {
        self.pool.tray.borrow_mut().remove(&self.waiting.ticket)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(lease) = self.lent() {
            lease.hand_back(Instant::now(), Some(Duration::from_secs(2)));
        }
    }
}
