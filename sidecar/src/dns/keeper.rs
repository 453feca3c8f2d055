//! The index, kept as the view of the instances is.
//!
//! What a lost or restarted registry no longer knows is kept for one period of grace, as the
//! proxy does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use a8_common::http::Condition;
use a8_common::model::{Instance, InstanceId};
use a8_common::task::Stop;
use a8_common::view::{Subscription, Update};
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::entry::{Entry, Place};
use super::index::Index;
use super::name::{Domain, key_of};
use crate::state::{Holding, Names, Status};

/// The owner of the index; [`run`](Keeper::run) is its task.
pub(super) struct Keeper {
    updates: Subscription<Instance>,
    domain: Domain,
    names: Names,
    services: HashMap<Arc<[u8]>, BTreeMap<InstanceId, Arc<Entry>>>,
    /// Where each id is.
    places: HashMap<InstanceId, Arc<[u8]>>,
    grace: Duration,
    held: Holding,
    latest: Index,
    index: Arc<ArcSwap<Index>>,
    /// What is to be said once it is in effect.
    now: Status,
    status: watch::Sender<Status>,
}

impl Keeper {
    /// One that publishes what `updates` bring into the returned index, which is empty yet.
    /// Host names are looked up by `names`. What a new epoch does not know is kept for `grace`.
    /// How far it has come is said on the returned channel.
    pub(super) fn new(
        updates: Subscription<Instance>,
        domain: &Domain,
        names: Names,
        grace: Duration,
    ) -> (Self, Arc<ArcSwap<Index>>, watch::Receiver<Status>) {
        let (status, told) = watch::channel(Status::default());
        let index = Arc::new(ArcSwap::default());
        let keeper = Self {
            updates,
            domain: domain.clone(),
            names,
            services: HashMap::new(),
            places: HashMap::new(),
            grace,
            held: Holding::default(),
            latest: Index::default(),
            index: index.clone(),
            now: Status::default(),
            status,
        };
        (keeper, index, told)
    }

    /// Takes in what comes until `stop` fires or the source has ended; `ready` is good once
    /// something has.
    pub(super) async fn run(mut self, ready: Condition, stop: Stop) {
        loop {
            let until = self.held.next_deadline();
            let mut touched = BTreeSet::new();
            let mut next = tokio::select! {
                () = stop.wait() => return,
                update = self.updates.next() => match update {
                    Some(update) => Some(update),
                    None => return,
                },
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    self.let_go(&mut touched);
                    None
                }
            };
            // What has come together is taken in together.
            while let Some(update) = next {
                self.take(update, &mut touched);
                next = self.updates.ready();
            }
            self.publish(&touched);
            ready.good();
        }
    }

    fn take(&mut self, update: Update<Instance>, touched: &mut BTreeSet<Arc<[u8]>>) {
        self.now.instances.note(&update);
        match update {
            Update::Change(change) => {
                self.latest.revision = change.revision;
                for gone in &change.removes {
                    self.remove(&gone.id, touched);
                }
                for upsert in &change.upserts {
                    self.insert(&upsert.item, touched);
                }
            }
            Update::Reset(snapshot) => {
                self.latest.revision = snapshot.revision;
                let until = Instant::now() + self.grace;
                for id in self.held.reset(&snapshot, self.places.keys(), until) {
                    self.remove(&id, touched);
                }
                for instance in snapshot.items.values() {
                    self.insert(instance, touched);
                }
            }
        }
    }

    /// Lets go of what has been held for long enough.
    fn let_go(&mut self, touched: &mut BTreeSet<Arc<[u8]>>) {
        for id in self.held.over(Instant::now()) {
            self.remove(&id, touched);
        }
    }

    /// Puts `instance` where it belongs now; one that takes no requests belongs nowhere.
    fn insert(&mut self, instance: &Instance, touched: &mut BTreeSet<Arc<[u8]>>) {
        self.remove(&instance.id, touched);
        if !instance.status.listed_by_default() {
            return;
        }
        let entry = Entry::new(instance, &self.domain);
        let (Some(entry), Some(service)) = (entry, key_of(instance.service_name.as_str())) else {
            return;
        };
        let service: Arc<[u8]> = service.into();
        let entry = Arc::new(entry);
        if let Place::Host(host) = &entry.place {
            self.names.keep(host);
        }
        self.places.insert(instance.id.clone(), service.clone());
        let there = self.services.entry(service.clone()).or_default();
        there.insert(instance.id.clone(), entry);
        touched.insert(service);
    }

    fn remove(&mut self, id: &InstanceId, touched: &mut BTreeSet<Arc<[u8]>>) {
        self.held.release(id);
        let Some(service) = self.places.remove(id) else {
            return;
        };
        if let Some(there) = self.services.get_mut(&service) {
            if let Some(Place::Host(host)) = there.remove(id).as_ref().map(|e| &e.place) {
                host.retire();
            }
            if there.is_empty() {
                self.services.remove(&service);
            }
        }
        touched.insert(service);
    }

    fn publish(&mut self, touched: &BTreeSet<Arc<[u8]>>) {
        self.latest.loaded = true;
        for service in touched {
            match self.services.get(service) {
                Some(entries) => {
                    let entries = entries.values().cloned().collect();
                    self.latest.services.insert(service.clone(), entries);
                }
                None => {
                    self.latest.services.remove(service);
                }
            }
        }
        self.index.store(Arc::new(self.latest.clone()));
        let instances = &mut self.now.instances;
        (instances.items, instances.held) = (self.places.len(), self.held.count());
        self.status.send_replace(self.now.clone());
    }
}

#[cfg(test)]
mod tests {
    use a8_common::http::Health;
    use a8_common::model::{Epoch, Revision};
    use a8_common::task::Tasks;
    use a8_common::view;

    use super::super::index::Found;
    use super::*;
    use crate::testkit::{eventually, instance};

    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_a_new_epoch_does_not_know_is_kept_for_a_while() {
        let (publisher, view) = view::channel();
        let tasks = Tasks::new(Stop::new());
        let names = Names::start(crate::state::system(), &tasks);
        let domain: Domain = "amalgam8".parse().unwrap();
        let (keeper, index, status) = Keeper::new(view.subscribe(), &domain, names, GRACE);
        let ready = Health::new().condition("dns");
        tasks.spawn("dns index", keeper.run(ready, tasks.stop().clone()));
        let web = |n: usize| Arc::new(instance("web", "", &format!("10.0.0.{n}:80")));
        let known = || match index.load().find(b"web") {
            Found::Instances(entries) => entries.len(),
            _ => 0,
        };
        let first = Epoch::fresh();
        publisher.replace(&first, Revision(1), vec![web(1), web(2)]);
        eventually(async || known() == 2).await;
        // Within one epoch what is gone is gone.
        publisher.replace(&first, Revision(2), vec![web(1), web(3)]);
        eventually(async || index.load().revision == Revision(2)).await;
        assert_eq!(known(), 2);
        let second = Epoch::fresh();
        publisher.replace(&second, Revision(1), vec![web(4)]);
        eventually(async || known() == 3).await;
        // One of the two that are held comes back.
        publisher.apply(Revision(2), vec![web(1)], &[]);
        eventually(async || index.load().revision == Revision(2)).await;
        tokio::time::sleep(GRACE - Duration::from_secs(2)).await;
        assert_eq!(known(), 3);
        let told = status.borrow().instances.clone();
        assert_eq!((told.items, told.held), (3, 1));
        assert_eq!((told.epoch, told.revision), (Some(second), Revision(2)));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(known(), 2);
    }
}
