//! What a connection counts against: the bounds of those backends that use it.
//!
//! A connection is counted for the backend that opened it. When another backend's request
//! takes it out of the pool, one in HTTP/1 is counted for that one from then on, and one in
//! HTTP/2 for both. It counts until the connection has ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use crate::proxy::gate::{Charge, Gate};

/// One connection's account. The connection's driver holds it, and everyone who uses it.
#[derive(Debug)]
pub(in crate::proxy) struct Account {
    requests: Cell<u32>,
    shares: RefCell<SmallVec<[Share; 1]>>,
}

#[derive(Debug)]
struct Share {
    charge: Charge,
    /// Exchanges of the backend on it now.
    uses: usize,
}

impl Account {
    /// Of a connection that was opened, and its first exchange.
    pub(in crate::proxy) fn open(charge: Charge) -> (Rc<Self>, Use) {
        let gate = charge.0.id;
        let account = Rc::new(Self {
            requests: Cell::new(0),
            shares: RefCell::new(smallvec![Share { charge, uses: 1 }]),
        });
        (account.clone(), Use { account, gate })
    }

    /// Whether it is counted for the backend of `gate`.
    pub(super) fn is_of(&self, gate: &Gate) -> bool {
        let shares = self.shares.borrow();
        shares.iter().any(|share| share.charge.0.id == gate.id)
    }

    /// How many requests it has carried.
    pub(super) fn requests(&self) -> u32 {
        self.requests.get()
    }

    /// A request is sent.
    pub(super) fn count(&self) {
        self.requests.set(self.requests.get().saturating_add(1));
    }

    /// Begins an exchange for the backend of `gate`. `None`: it would be one connection too
    /// many for that backend.
    pub(super) fn begin(self: &Rc<Self>, gate: &Arc<Gate>, shared: bool) -> Option<Use> {
        let mut shares = self.shares.borrow_mut();
        let known = shares.iter_mut().find(|s| s.charge.0.id == gate.id);
        if let Some(share) = known {
            share.uses += 1;
        } else {
            let charge = gate.reserve()?;
            if !shared {
                shares.clear();
            }
            shares.push(Share { charge, uses: 1 });
        }
        Some(Use {
            account: self.clone(),
            gate: gate.id,
        })
    }

    /// The backends that count it and want connections back.
    pub(super) fn wanted(&self) -> SmallVec<[Arc<Gate>; 1]> {
        let shares = self.shares.borrow();
        let wanted = shares.iter().filter(|s| s.charge.0.pressure() > 0);
        wanted.map(|s| s.charge.0.clone()).collect()
    }

    /// The backends that count it, do not use it now, and want connections back.
    pub(super) fn wanted_back(&self) -> SmallVec<[Arc<Gate>; 1]> {
        let shares = self.shares.borrow();
        let idle = shares.iter().filter(|s| s.uses == 0);
        let wanted = idle.filter(|s| s.charge.0.pressure() > 0);
        wanted.map(|s| s.charge.0.clone()).collect()
    }

    /// Counts it no longer for the backend of `gate`, unless that uses it now. Whether it is
    /// still counted for anybody.
    pub(super) fn forget(&self, gate: &Gate) -> Forgotten {
        let mut shares = self.shares.borrow_mut();
        let idle = |s: &Share| s.charge.0.id == gate.id && s.uses == 0;
        let Some(at) = shares.iter().position(idle) else {
            return Forgotten::Not;
        };
        let share = shares.remove(at);
        let last = shares.is_empty();
        if last {
            // It counts until it has ended.
            shares.push(share);
            return Forgotten::Last;
        }
        drop(shares);
        drop(share);
        Forgotten::Share
    }
}

/// What became of a backend's part in a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgotten {
    /// It has none, or uses it now.
    Not,
    /// It has none any more.
    Share,
    /// It is the only one: the connection is to be closed.
    Last,
}

/// One exchange's use of a connection.
#[derive(Debug)]
pub(in crate::proxy) struct Use {
    account: Rc<Account>,
    gate: u64,
}

impl Use {
    pub(super) fn account(&self) -> &Rc<Account> {
        &self.account
    }

    /// The bound that it counts against.
    pub(super) fn gate(&self) -> Option<Arc<Gate>> {
        let shares = self.account.shares.borrow();
        let own = shares.iter().find(|s| s.charge.0.id == self.gate);
        own.map(|s| s.charge.0.clone())
    }

    /// Whether connections are wanted back, and whether this one may carry another request.
    pub(super) fn standing(&self) -> (bool, bool) {
        let shares = self.account.shares.borrow();
        match shares.iter().find(|s| s.charge.0.id == self.gate) {
            Some(Share { charge, .. }) => (
                charge.0.pressure() > 0,
                charge.0.allows(self.account.requests.get()),
            ),
            None => (false, true),
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut shares = self.account.shares.borrow_mut();
        if let Some(share) = shares.iter_mut().find(|s| s.charge.0.id == self.gate) {
            share.uses = share.uses.saturating_sub(1);
        }
    }
}
