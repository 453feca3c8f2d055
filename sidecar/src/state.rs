//! The one owner of what the sidecar routes by.
//!
//! It reads the feeds of instances and rules, keeps what a lost or restarted control plane
//! would take away for one period of grace, compiles [`Routes`] and publishes them by one
//! atomic swap. A change of instances reaches only the backends of the services it names and
//! a change of rules only the backends of the rules it names: all others keep their
//! balancers, counts and connections.

mod backends;
mod catalog;
mod holding;
mod names;
mod rulebook;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use a8_common::model::{Epoch, Instance, Revision, ServiceName};
use a8_common::rule::{Rule, RuleTable};
use a8_common::source::Feed;
use a8_common::task::Stop;
use a8_common::view::{Item, Subscription, Update};
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use crate::proxy::{Backend, Metrics, Routes};
use backends::Backends;
use catalog::Catalog;
use rulebook::Rulebook;

pub use holding::Holding;
pub use names::{Answer, Lookup, Named, Names, system};

/// How long the owner is patient.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long what a new epoch does not know is kept.
    pub grace: Duration,
    /// How long the first load is waited for before routing begins with what there is.
    pub first_load: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(30),
            first_load: Duration::from_secs(10),
        }
    }
}

/// How far one feed has been taken in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Applied {
    /// The life of the data.
    pub epoch: Option<Epoch>,
    /// The newest change that requests are routed by.
    pub revision: Revision,
    /// When it was taken in.
    pub at: Option<std::time::Instant>,
    /// How many items there are, held ones included.
    pub items: usize,
    /// How many of them the source no longer knows.
    pub held: usize,
}

/// What the owner says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// Whether there is something to route by.
    pub routing: bool,
    /// Instances.
    pub instances: Applied,
    /// Rules.
    pub rules: Applied,
}

/// The owner; [`run`](Owner::run) is its task.
pub struct Owner {
    instances: Subscription<Instance>,
    rules: Subscription<Rule>,
    catalog: Catalog,
    rulebook: Rulebook,
    backends: Backends,
    table: Arc<RuleTable<Arc<Backend>>>,
    services: Arc<HashMap<ServiceName, Arc<Backend>>>,
    routes: Arc<ArcSwap<Routes>>,
    /// What is to be said once it is in effect.
    now: Status,
    status: watch::Sender<Status>,
    patience: Patience,
    /// Whether there was enough waiting for the first load.
    impatient: bool,
    /// Whether it is known whom the proxy calls for, by which rules choose.
    identified: watch::Receiver<bool>,
}

impl Owner {
    /// An owner that begins once it is `identified`, publishes into `routes`, has the names
    /// of instances looked up by `names`, and reports on the returned channel.
    pub fn new(
        (instances, rules): (&Feed<Instance>, &Feed<Rule>),
        identified: watch::Receiver<bool>,
        routes: Arc<ArcSwap<Routes>>,
        metrics: Arc<Metrics>,
        names: Names,
        patience: Patience,
    ) -> (Self, watch::Receiver<Status>) {
        let (status, report) = watch::channel(Status::default());
        let owner = Self {
            instances: instances.view.subscribe(),
            rules: rules.view.subscribe(),
            catalog: Catalog::new(metrics.clone(), names),
            rulebook: Rulebook::default(),
            backends: Backends::new(metrics),
            table: Arc::default(),
            services: Arc::default(),
            routes,
            now: Status::default(),
            status,
            patience,
            impatient: false,
            identified,
        };
        (owner, report)
    }

    /// Takes in what the feeds bring until `stop` fires or both have ended.
    pub async fn run(mut self, stop: Stop) {
        let first = Instant::now() + self.patience.first_load;
        let (mut more_instances, mut more_rules) = (true, true);
        let mut identified = self.identified.clone();
        while more_instances || more_rules {
            let waiting = !self.now.routing && !self.impatient;
            let held = self.next_deadline();
            // An end of the channel is no news.
            let unknown = !*self.identified.borrow() && identified.has_changed().is_ok();
            tokio::select! {
                () = stop.wait() => return,
                update = self.instances.next(), if more_instances => match update {
                    Some(update) => self.on_instances(update),
                    None => more_instances = false,
                },
                update = self.rules.next(), if more_rules => match update {
                    Some(update) => self.on_rules(update),
                    None => more_rules = false,
                },
                _ = identified.changed(), if unknown => self.begin(),
                () = sleep_until(first), if waiting => {
                    self.impatient = true;
                    self.begin();
                }
                () = sleep_until(held.unwrap_or(first)), if held.is_some() => self.let_go(),
            }
        }
    }

    fn on_instances(&mut self, update: Update<Instance>) {
        let until = Instant::now() + self.patience.grace;
        let mut touched = HashSet::new();
        let mut next = Some(update);
        // What has come together is taken in together.
        while let Some(update) = next {
            self.now.instances.note(&update);
            self.catalog.take(update, until, &mut touched);
            next = self.instances.ready();
        }
        self.refresh(&touched);
        self.begin();
    }

    fn on_rules(&mut self, update: Update<Rule>) {
        let until = Instant::now() + self.patience.grace;
        let mut next = Some(update);
        while let Some(update) = next {
            self.now.rules.note(&update);
            self.rulebook.take(update, until);
            next = self.rules.ready();
        }
        self.rebuild();
        self.begin();
    }

    /// Lets go of what has been held for long enough.
    fn let_go(&mut self) {
        let now = Instant::now();
        let mut touched = HashSet::new();
        self.catalog.expire(now, &mut touched);
        if !touched.is_empty() {
            info!(
                services = touched.len(),
                "instances of the former epoch let go"
            );
            self.refresh(&touched);
        }
        if self.rulebook.expire(now) {
            info!("rules of the former epoch let go");
            self.rebuild();
        }
        self.publish();
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.catalog.next_deadline(), self.rulebook.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Compiles the rules.
    fn rebuild(&mut self) {
        self.backends.prune();
        let table = RuleTable::build(self.rulebook.rules(), Some(&self.table), |rule, backend| {
            self.backends.of_rule(rule, backend, &mut self.catalog)
        });
        self.table = Arc::new(table);
        self.list_services();
    }

    /// Gives the backends of `services` their instances.
    fn refresh(&mut self, services: &HashSet<ServiceName>) {
        self.backends.refresh(services, &mut self.catalog);
        self.list_services();
    }

    /// A service is known when it has an instance, or a rule says where to go instead.
    fn list_services(&mut self) {
        let known: HashSet<ServiceName> = self
            .catalog
            .services()
            .chain(self.table.rules().map(|rule| rule.destination()))
            .cloned()
            .collect();
        if known.len() == self.services.len() && known.iter().all(|s| self.services.contains_key(s))
        {
            return;
        }
        let services = known
            .into_iter()
            .map(|name| {
                let backend = match self.services.get(&name) {
                    Some(known) => known.clone(),
                    None => self.backends.of_service(&name, &mut self.catalog),
                };
                (name, backend)
            })
            .collect();
        self.services = Arc::new(services);
    }

    /// Begins to route once it is known who calls and both feeds have loaded or, when there was enough waiting, the
    /// instances alone: without rules there are the default routes, without instances there
    /// is nothing that could be said.
    fn begin(&mut self) {
        let instances = self.now.instances.epoch.is_some();
        let rules = self.now.rules.epoch.is_some();
        let known = *self.identified.borrow();
        let enough = known && instances && (rules || self.impatient);
        if enough && !self.now.routing && !rules {
            warn!("routing begins without having heard of the rules");
        }
        self.now.routing |= enough;
        self.publish();
    }

    /// Swaps what has changed, and only then says how far things are: who sees a revision
    /// reported can rely on it.
    fn publish(&mut self) {
        let before = self.routes.load();
        let loaded = self.now.routing;
        if before.loaded != loaded
            || !Arc::ptr_eq(&before.table, &self.table)
            || !Arc::ptr_eq(&before.services, &self.services)
        {
            self.routes.store(Arc::new(Routes {
                loaded,
                table: self.table.clone(),
                services: self.services.clone(),
            }));
        }
        (self.now.instances.items, self.now.instances.held) = self.catalog.counts();
        (self.now.rules.items, self.now.rules.held) = self.rulebook.counts();
        self.status.send_replace(self.now.clone());
    }
}

impl Applied {
    /// Writes down that `update` has been taken in.
    pub(crate) fn note<T: Item>(&mut self, update: &Update<T>) {
        self.at = Some(std::time::Instant::now());
        match update {
            Update::Reset(snapshot) => {
                self.epoch = snapshot.epoch.clone();
                self.revision = snapshot.revision;
            }
            Update::Change(change) => self.revision = change.revision,
        }
    }
}

#[cfg(test)]
mod tests;
