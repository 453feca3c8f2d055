//! The instances that are known, by service.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Weak};

use a8_common::model::{Instance, InstanceId, ServiceName, Tags};
use a8_common::view::Update;
use tokio::time::Instant;

use super::holding::Holding;
use super::names::Names;
use crate::proxy::{Members, Metrics, Unusable, Upstream};

struct Entry {
    instance: Arc<Instance>,
    upstream: Result<Arc<Upstream>, Unusable>,
}

/// The instances of one service.
#[derive(Default)]
struct Service {
    entries: BTreeMap<InstanceId, Entry>,
    /// What was made of them, by tags: most backends of a service share one list.
    members: HashMap<Tags, Weak<Members>>,
}

impl Service {
    fn take_out(&mut self, id: &InstanceId) -> Option<Entry> {
        self.members.clear();
        self.entries.remove(id)
    }

    fn carrying(&self, tags: &Tags) -> Members {
        let mut usable: Vec<Arc<Upstream>> = Vec::new();
        let mut unusable = 0;
        for entry in self.entries.values() {
            if !entry.instance.status.listed_by_default() || !entry.instance.tags.contains_all(tags)
            {
                continue;
            }
            match &entry.upstream {
                Ok(upstream) => usable.push(upstream.clone()),
                Err(_) => unusable += 1,
            }
        }
        // Stable: each kind stays in the order of its ids.
        usable.sort_by_key(|upstream| !upstream.speaks_http());
        Members {
            usable: usable.into(),
            unusable,
        }
    }
}

/// All instances, with what the proxy holds of each.
pub(super) struct Catalog {
    metrics: Arc<Metrics>,
    names: Names,
    services: HashMap<ServiceName, Service>,
    /// Where each id is.
    places: HashMap<InstanceId, ServiceName>,
    held: Holding,
}

impl Catalog {
    pub(super) fn new(metrics: Arc<Metrics>, names: Names) -> Self {
        Self {
            metrics,
            names,
            services: HashMap::new(),
            places: HashMap::new(),
            held: Holding::default(),
        }
    }

    /// Takes an update in and adds the services it touches to `touched`. What a new epoch
    /// does not know is held until `until`.
    pub(super) fn take(
        &mut self,
        update: Update<Instance>,
        until: Instant,
        touched: &mut HashSet<ServiceName>,
    ) {
        match update {
            Update::Change(change) => {
                for gone in &change.removes {
                    self.remove(&gone.id, touched);
                }
                for upsert in &change.upserts {
                    self.insert(&upsert.item, touched);
                }
            }
            Update::Reset(snapshot) => {
                let gone = self.held.reset(&snapshot, self.places.keys(), until);
                for id in gone {
                    self.remove(&id, touched);
                }
                for instance in snapshot.items.values() {
                    self.insert(instance, touched);
                }
            }
        }
    }

    /// Lets go of what was held until `now`.
    pub(super) fn expire(&mut self, now: Instant, touched: &mut HashSet<ServiceName>) {
        let over = self.held.over(now);
        for id in over {
            self.remove(&id, touched);
        }
    }

    /// When the next held instance is let go.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.held.next_deadline()
    }

    /// The services that have an instance.
    pub(super) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.services.keys()
    }

    /// How many instances there are, and how many of them are held.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.places.len(), self.held.count())
    }

    /// The instances of `service` that carry `tags` and can be connected to: those that a registry
    /// lists to whoever asks for nothing special, users' own words for their status included.
    pub(super) fn members(&mut self, service: &ServiceName, tags: &Tags) -> Arc<Members> {
        let Some(service) = self.services.get_mut(service) else {
            return Arc::default();
        };
        let known = &mut service.members;
        if let Some(members) = known.get(tags).and_then(Weak::upgrade) {
            return members;
        }
        if known.len() == known.capacity() {
            known.retain(|_, members| members.strong_count() > 0);
        }
        let members = Arc::new(service.carrying(tags));
        let shared = Arc::downgrade(&members);
        service.members.insert(tags.clone(), shared);
        members
    }

    fn insert(&mut self, instance: &Arc<Instance>, touched: &mut HashSet<ServiceName>) {
        self.held.release(&instance.id);
        let service = &instance.service_name;
        let before = match self.places.get(&instance.id) {
            Some(place) => self
                .services
                .get_mut(place)
                .and_then(|s| s.take_out(&instance.id)),
            None => None,
        };
        let mut kept = None;
        if let Some(before) = before {
            let old = &before.instance;
            if old.service_name != *service {
                touched.insert(old.service_name.clone());
                self.drop_if_empty(&old.service_name.clone());
                retire(&before);
            } else if old.endpoint != instance.endpoint
                || old.http_version() != instance.http_version()
            {
                // Connections in the version that it spoke before are of no use any more.
                retire(&before);
            } else {
                kept = Some(before.upstream);
            }
        }
        let upstream = kept.unwrap_or_else(|| {
            let connections = self.metrics.connections(service.as_str());
            let made = Upstream::new(instance, connections).map(Arc::new);
            if let Ok(upstream) = &made {
                self.names.keep(upstream);
            }
            made
        });
        let entry = Entry {
            instance: instance.clone(),
            upstream,
        };
        touched.insert(service.clone());
        self.places.insert(instance.id.clone(), service.clone());
        let place = self.services.entry(service.clone()).or_default();
        place.members.clear();
        place.entries.insert(instance.id.clone(), entry);
    }

    fn remove(&mut self, id: &InstanceId, touched: &mut HashSet<ServiceName>) {
        self.held.release(id);
        let Some(service) = self.places.remove(id) else {
            return;
        };
        if let Some(entry) = self.services.get_mut(&service).and_then(|s| s.take_out(id)) {
            retire(&entry);
        }
        self.drop_if_empty(&service);
        touched.insert(service);
    }

    fn drop_if_empty(&mut self, service: &ServiceName) {
        if self
            .services
            .get(service)
            .is_some_and(|s| s.entries.is_empty())
        {
            self.services.remove(service);
        }
    }
}

fn retire(entry: &Entry) {
    if let Ok(upstream) = &entry.upstream {
        upstream.retire();
    }
}
