//! A registry within the process, for tests of whoever registers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Announcement, Error, Lease, Registration};
use crate::model::InstanceId;

/// Keeps announcements until they are taken away or [forgotten](Memory::forget); nothing
/// expires by itself.
#[derive(Default)]
pub struct Memory {
    known: Mutex<BTreeMap<InstanceId, Known>>,
    /// Between registering and saying so.
    pause: Duration,
}

/// What is known of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What it said of itself.
    pub announcement: Announcement,
    /// How often it has been renewed.
    pub renewals: u32,
}

impl Memory {
    const DEFAULT_TTL: Duration = Duration::from_secs(30);

    /// One that registers at once and takes so long to say so.
    pub fn slow(pause: Duration) -> Self {
        Self {
            pause,
            ..Self::default()
        }
    }

    /// All that is registered now.
    pub fn known(&self) -> BTreeMap<InstanceId, Known> {
        self.lock().clone()
    }

    /// Loses everything, as a registry that restarts does.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Known>> {
        // Every change is one call on the map.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Registration for Memory {
    async fn register(&self, me: &Announcement) -> Result<Lease, Error> {
        let id = InstanceId::derived(&me.service_name, &me.endpoint);
        let known = Known {
            announcement: me.clone(),
            renewals: 0,
        };
        self.lock().insert(id.clone(), known);
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        Ok(Lease {
            id,
            ttl: me.ttl.unwrap_or(Self::DEFAULT_TTL),
        })
    }

    async fn renew(&self, id: &InstanceId) -> Result<(), Error> {
        match self.lock().get_mut(id) {
            Some(known) => known.renewals += 1,
            None => return Err(Error::Unknown(id.clone())),
        }
        Ok(())
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), Error> {
        self.lock().remove(id);
        Ok(())
    }
}
