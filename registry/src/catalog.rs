//! The catalog: registering, renewing, leaving and expiring, written once over [`Store`].
//!
//! An instance is one entry of the store, owned by one lease; a heartbeat keeps the lease
//! alive and writes nothing. What the store holds is mirrored into one [`Room`] a namespace
//! by the feeder, and all reads are served from there. A write answers after its own room
//! has it, so that whoever wrote also reads what was written.

mod cluster;
mod error;
mod feeder;
mod key;
mod room;
mod rooms;

use std::sync::Arc;
use std::time::Duration;

use a8_common::host::Ground;
use a8_common::model::{Instance, InstanceId, Namespace, Revision, Status};
use a8_common::registration::Announcement;
use a8_common::source::Discovery;
use a8_common::store::{
    CommitError, Compare, LeaseError, LeaseId, Op, Store, Transaction, Unavailable,
};
use jiff::Timestamp;
use prometheus::IntGauge;
use tracing::{debug, info, warn};

use cluster::Cluster;
pub use error::{NotLoaded, RegisterError, RenewError};
pub use room::Room;
use rooms::Rooms;

/// How often a registration is tried again when others change the namespace meanwhile.
const TRIES: usize = 64;

/// How long an answer waits for what it wrote to be readable.
const SETTLE: Duration = Duration::from_secs(5);

/// Bounds on instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to live of an instance that asks for none.
    pub default_ttl: Duration,
    /// The shortest allowed.
    pub min_ttl: Duration,
    /// The longest allowed.
    pub max_ttl: Duration,
    /// Most instances of one namespace; `None` is no limit.
    pub capacity: Option<usize>,
}

impl Limits {
    /// The time to live granted to who asks for `wanted`; zero asks for the default.
    pub fn ttl(&self, wanted: Option<Duration>) -> Duration {
        let wanted = wanted
            .filter(|ttl| !ttl.is_zero())
            .unwrap_or(self.default_ttl);
        wanted.clamp(self.min_ttl, self.max_ttl)
    }
}

/// A registration as it was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The instance's id.
    pub id: InstanceId,
    /// Seconds that it lives without a heartbeat.
    pub ttl: u32,
}

/// The instances of all namespaces.
pub struct Catalog {
    store: Arc<dyn Store>,
    rooms: Arc<Rooms>,
    limits: Limits,
    cluster: Option<Cluster>,
}

impl Catalog {
    /// A catalog over the store of `ground`, kept up to date by its tasks, which also tell
    /// its health; the number of instances is one of its metrics. What `cluster` tells of is
    /// in it, too, in the namespace `default`.
    ///
    /// # Errors
    /// When there is such a metric already.
    pub fn start(
        ground: Ground<'_>,
        limits: Limits,
        cluster: Option<Box<Discovery>>,
    ) -> Result<Self, prometheus::Error> {
        let total = IntGauge::new("a8_instances", "Registered instances of all namespaces")?;
        ground.metrics.register(Box::new(total.clone()))?;
        let rooms = Arc::new(Rooms::new(total));
        let feeder = feeder::Feeder(rooms.clone());
        ground.follow(key::INSTANCES, feeder);
        let cluster = cluster.map(|source| {
            Cluster::start(source, ground.store.clone(), ground.tasks, ground.health)
        });
        Ok(Self {
            store: ground.store,
            rooms,
            limits,
            cluster,
        })
    }

    /// What is known of a namespace.
    ///
    /// # Errors
    /// [`NotLoaded`] until the store has been read once.
    pub fn room(&self, namespace: &Namespace) -> Result<Arc<Room>, NotLoaded> {
        self.rooms.room(namespace)
    }

    /// The newest revision of the store, which a room may be behind.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn newest(&self) -> Result<Revision, Unavailable> {
        self.store.revision().await
    }

    /// Registers an instance, or replaces the one of the same service and endpoint.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing was stored, unless the store became unavailable meanwhile.
    pub async fn register(
        &self,
        namespace: &Namespace,
        wanted: Announcement,
    ) -> Result<Registered, RegisterError> {
        let room = self.room(namespace)?;
        let ttl = self.limits.ttl(wanted.ttl);
        let seconds = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
        let instance = Instance {
            id: InstanceId::derived(&wanted.service_name, &wanted.endpoint),
            service_name: wanted.service_name,
            endpoint: wanted.endpoint,
            ttl: seconds,
            status: wanted.status,
            last_heartbeat: Timestamp::now(),
            tags: wanted.tags,
            metadata: wanted.metadata,
        };
        let before = room.lease(&instance.id).flatten();
        // Whoever is out of service on purpose sends no heartbeats, and is not to vanish.
        let lease = match instance.status {
            Status::OutOfService => None,
            _ => Some(self.lease(&room, &instance, before, ttl).await?),
        };
        let put = self.put(namespace, &room, &instance, lease).await;
        // The lease that owns nothing now: the replaced one, or the new one on a failure.
        let orphan = if put.is_ok() { before } else { lease };
        if let Some(orphan) = orphan.filter(|_| before != lease) {
            self.forget(orphan).await;
        }
        settled(&room, put?).await;
        Ok(Registered {
            id: instance.id,
            ttl: seconds,
        })
    }

    /// A lease for `instance`: the one that it has, where that is as long, so that coming again
    /// costs the store no more than a heartbeat; otherwise a new one.
    async fn lease(
        &self,
        room: &Room,
        instance: &Instance,
        before: Option<LeaseId>,
        ttl: Duration,
    ) -> Result<LeaseId, RegisterError> {
        let now = room.view().snapshot();
        let same = now
            .items
            .get(&instance.id)
            .is_some_and(|known| known.ttl == instance.ttl);
        if let Some(lease) = before.filter(|_| same) {
            match self.store.keep_alive(lease).await {
                Ok(()) => return Ok(lease),
                Err(LeaseError::Unknown(_)) => {}
                Err(LeaseError::Unavailable(e)) => return Err(e.into()),
            }
        }
        Ok(self.store.grant(ttl).await?)
    }

    async fn put(
        &self,
        namespace: &Namespace,
        room: &Room,
        instance: &Instance,
        lease: Option<LeaseId>,
    ) -> Result<Revision, RegisterError> {
        let key = key::instance(namespace, &instance.id);
        let value = serde_json::to_vec(instance).map_err(RegisterError::Unwritable)?;
        let op = Op::Put {
            key: key.clone(),
            value: value.into(),
            lease,
        };
        let Some(capacity) = self.limits.capacity else {
            let unconditional = Transaction {
                compares: Vec::new(),
                ops: vec![op],
            };
            return Ok(self.store.commit(unconditional).await?);
        };
        for _ in 0..TRIES {
            // Whoever is in may always register again.
            let again = Transaction {
                compares: vec![Compare::Exists(key.clone())],
                ops: vec![op.clone()],
            };
            match self.store.commit(again).await {
                Err(CommitError::Compare { .. }) => {}
                ended => return Ok(ended?),
            }
            // Newcomers pass one after the other, each changing the door they came through;
            // instances that leave do not, which only errs on the safe side.
            let _place = room.admission().await;
            let door = key::admission(namespace);
            let state = self.store.get(&door).await?;
            let passed = state.map_or(Revision(0), |entry| entry.mod_revision);
            settled(room, passed).await;
            if room.len() >= capacity {
                return Err(RegisterError::Full { capacity });
            }
            let enter = Transaction {
                compares: vec![
                    Compare::ModRevision(door.clone(), passed),
                    Compare::Absent(key.clone()),
                ],
                ops: vec![
                    op.clone(),
                    Op::Put {
                        key: door,
                        value: Default::default(),
                        lease: None,
                    },
                ],
            };
            match self.store.commit(enter).await {
                Err(CommitError::Compare { .. }) => {}
                ended => return Ok(ended?),
            }
        }
        Err(RegisterError::Contended)
    }

    /// Takes a heartbeat: the instance lives for another time to live.
    ///
    /// # Errors
    /// [`RenewError::Unknown`] when it is not there any more: it has to register again.
    pub async fn renew(&self, namespace: &Namespace, id: &InstanceId) -> Result<(), RenewError> {
        let room = self.room(namespace)?;
        self.registered(namespace, id)?;
        let known = match room.lease(id) {
            Some(lease) => self.keep(lease).await?,
            None => false,
        };
        // The room may be a moment behind a registration made at another registry.
        if !known {
            let entry = self.store.get(&key::instance(namespace, id)).await?;
            let entry = entry.ok_or_else(|| RenewError::Unknown(id.clone()))?;
            if !self.keep(entry.lease).await? {
                info!(%namespace, instance = %id, "its lease has ended, it must register again");
                return Err(RenewError::Unknown(id.clone()));
            }
        }
        room.beat(id, Timestamp::now());
        Ok(())
    }

    /// What a cluster tells of has not registered.
    fn registered(&self, namespace: &Namespace, id: &InstanceId) -> Result<(), RenewError> {
        let told = self.cluster.as_ref().is_some_and(|cluster| cluster.has(id));
        match told && *namespace == Namespace::default_one() {
            true => Err(RenewError::OfCluster(id.clone())),
            false => Ok(()),
        }
    }

    async fn keep(&self, lease: Option<LeaseId>) -> Result<bool, RenewError> {
        let Some(lease) = lease else {
            return Ok(true);
        };
        match self.store.keep_alive(lease).await {
            Ok(()) => Ok(true),
            Err(LeaseError::Unknown(_)) => Ok(false),
            Err(LeaseError::Unavailable(e)) => Err(e.into()),
        }
    }

    /// Takes an instance away.
    ///
    /// # Errors
    /// [`RenewError::Unknown`] when it is not there.
    pub async fn deregister(
        &self,
        namespace: &Namespace,
        id: &InstanceId,
    ) -> Result<(), RenewError> {
        let room = self.room(namespace)?;
        self.registered(namespace, id)?;
        let lease = room.lease(id).flatten();
        let key = key::instance(namespace, id);
        let leave = Transaction::new()
            .when(Compare::Exists(key.clone()))
            .delete(key);
        let revision = self.store.commit(leave).await.map_err(|e| match e {
            CommitError::Compare { .. } => RenewError::Unknown(id.clone()),
            CommitError::Unavailable(e) => e.into(),
            CommitError::Refused(_) | CommitError::UnknownLease(_) => {
                RenewError::Unknown(id.clone())
            }
        })?;
        if let Some(lease) = lease {
            self.forget(lease).await;
        }
        settled(&room, revision).await;
        Ok(())
    }

    /// Ends a lease that owns nothing. Left alone it would end by itself.
    async fn forget(&self, lease: LeaseId) {
        if let Err(e) = self.store.revoke(lease).await {
            debug!(error = %e, "a lease was left to expire");
        }
    }
}

/// Waits for a while until the room has `revision`. Only a store that went away between the
/// write and its event makes it that long; the write stands all the same.
async fn settled(room: &Room, revision: Revision) {
    let reached = tokio::time::timeout(SETTLE, room.reached(revision)).await;
    if reached.is_err() {
        warn!(%revision, "a write is stored and not yet visible");
    }
}

#[cfg(test)]
mod tests;
