//! What is known of one namespace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use a8_common::model::{Epoch, Instance, InstanceId, Revision};
use a8_common::store::LeaseId;
use a8_common::view::{self, Publisher, View};
use a8_common::watch::server::{Filter, Outlet};
use jiff::Timestamp;

/// An instance's lease and when it was last heard of here. Heartbeats are not stored: another
/// registry, or this one after a restart, shows the time of the last registration it knows.
struct Pulse {
    lease: Option<LeaseId>,
    last_heartbeat: Timestamp,
}

/// The instances of one namespace, and the pulse of each.
pub struct Room {
    publisher: Publisher<Instance>,
    everything: Outlet<Instance>,
    pulses: Mutex<HashMap<InstanceId, Pulse>>,
    /// Grows with every heartbeat, so that a listing knows whether it is still fresh.
    beats: AtomicU64,
    admission: tokio::sync::Mutex<()>,
}

/// An instance as the store has it.
pub(super) struct Stored {
    pub(super) instance: Arc<Instance>,
    pub(super) lease: Option<LeaseId>,
}

impl Room {
    /// One of which nothing is known until its first [`replace`](Self::replace).
    pub(super) fn new() -> Self {
        let (publisher, view) = view::channel();
        // What takes requests; a listing without filters shows the same.
        let routed = Filter::of(|instance: &Instance| instance.status.listed_by_default());
        Self {
            publisher,
            everything: Outlet::new(view, routed),
            pulses: Mutex::default(),
            beats: AtomicU64::new(0),
            admission: tokio::sync::Mutex::default(),
        }
    }

    /// The instances.
    pub fn view(&self) -> View<Instance> {
        self.publisher.view()
    }

    /// The watch that sidecars ask for: one set of lines for all of them.
    pub fn unfiltered(&self) -> &Outlet<Instance> {
        &self.everything
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.publisher.view().snapshot().items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When `instance` was last heard of.
    pub fn last_heartbeat(&self, instance: &Instance) -> Timestamp {
        let pulses = self.pulses();
        pulses
            .get(&instance.id)
            .map_or(instance.last_heartbeat, |pulse| pulse.last_heartbeat)
    }

    /// A number that changes with every heartbeat.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Acquire)
    }

    /// The lease of an instance; `Some(None)` for one that does not expire.
    pub(super) fn lease(&self, id: &InstanceId) -> Option<Option<LeaseId>> {
        self.pulses().get(id).map(|pulse| pulse.lease)
    }

    pub(super) fn beat(&self, id: &InstanceId, now: Timestamp) {
        if let Some(pulse) = self.pulses().get_mut(id) {
            pulse.last_heartbeat = now;
        }
        self.beats.fetch_add(1, Ordering::AcqRel);
    }

    /// The place before the door, for newcomers where the capacity is limited.
    pub(super) async fn admission(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.admission.lock().await
    }

    /// Waits until the store's `revision` is in.
    pub(super) async fn reached(&self, revision: Revision) {
        // The writer is this room itself: the view cannot lose it.
        self.view().reached(revision).await;
    }

    /// One transaction of the store.
    pub(super) fn apply(&self, revision: Revision, puts: Vec<Stored>, deletes: &[InstanceId]) {
        let mut pulses = self.pulses();
        for id in deletes {
            pulses.remove(id);
        }
        for put in &puts {
            pulses.insert(put.instance.id.clone(), put.pulse());
        }
        drop(pulses);
        let upserts = puts.into_iter().map(|put| put.instance).collect();
        self.publisher.apply(revision, upserts, deletes);
    }

    /// The whole state of the store.
    pub(super) fn replace(&self, epoch: &Epoch, revision: Revision, all: Vec<Stored>) {
        let mut pulses = self.pulses();
        let mut heard: HashMap<_, _> = std::mem::take(&mut *pulses);
        for stored in &all {
            let mut pulse = stored.pulse();
            if let Some(known) = heard.remove(&stored.instance.id) {
                pulse.last_heartbeat = pulse.last_heartbeat.max(known.last_heartbeat);
            }
            pulses.insert(stored.instance.id.clone(), pulse);
        }
        drop(pulses);
        let items = all.into_iter().map(|stored| stored.instance).collect();
        self.publisher.replace(epoch, revision, items);
    }

    fn pulses(&self) -> MutexGuard<'_, HashMap<InstanceId, Pulse>> {
        // Each change is one call of the map: a panic leaves nothing half done.
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn pulse(&self) -> Pulse {
        Pulse {
            lease: self.lease,
            last_heartbeat: self.instance.last_heartbeat,
        }
    }
}
