//! The backends that are in use, so that a change finds those it concerns and a new table
//! takes over those it still has.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use a8_common::model::{ServiceName, Tags};
use a8_common::rule::{self, Resilience, Rule};

use super::catalog::Catalog;
use crate::proxy::{Backend, Key, Metrics};

/// All backends in use. The tables own them; those that no table has any more are
/// forgotten here as they are met.
pub(super) struct Backends {
    metrics: Arc<Metrics>,
    by_service: HashMap<ServiceName, HashMap<Arc<Key>, Weak<Backend>>>,
}

impl Backends {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            by_service: HashMap::new(),
        }
    }

    /// The backend that `rule` speaks of.
    pub(super) fn of_rule(
        &mut self,
        rule: &Rule,
        backend: &rule::Backend,
        catalog: &mut Catalog,
    ) -> Arc<Backend> {
        let key = Key {
            destination: rule.destination().clone(),
            rule: Some(rule.id().clone()),
            service: backend.service(rule.destination()).clone(),
            tags: backend.tags.clone(),
            balance: backend.balance(),
            twin: twins_before(rule, backend),
        };
        let resilience = backend.resilience.as_deref().cloned().unwrap_or_default();
        self.get(key, resilience, catalog)
    }

    /// The default route of `service`.
    pub(super) fn of_service(
        &mut self,
        service: &ServiceName,
        catalog: &mut Catalog,
    ) -> Arc<Backend> {
        let key = Key {
            destination: service.clone(),
            rule: None,
            service: service.clone(),
            tags: Tags::default(),
            balance: rule::Balance::default(),
            twin: 0,
        };
        self.get(key, Resilience::default(), catalog)
    }

    /// Gives the backends of `services` their instances anew.
    pub(super) fn refresh(&mut self, services: &HashSet<ServiceName>, catalog: &mut Catalog) {
        for service in services {
            let Some(backends) = self.by_service.get_mut(service) else {
                continue;
            };
            backends.retain(|key, backend| match backend.upgrade() {
                Some(backend) => {
                    backend.set_members(catalog.members(service, &key.tags));
                    true
                }
                None => false,
            });
            if backends.is_empty() {
                self.by_service.remove(service);
            }
        }
    }

    /// Forgets what no table has any more.
    pub(super) fn prune(&mut self) {
        self.by_service.retain(|_, backends| {
            backends.retain(|_, backend| backend.strong_count() > 0);
            !backends.is_empty()
        });
    }

    fn get(&mut self, key: Key, resilience: Resilience, catalog: &mut Catalog) -> Arc<Backend> {
        let of_service = self.by_service.entry(key.service.clone()).or_default();
        if let Some(known) = of_service.get(&key).and_then(Weak::upgrade) {
            known.set_resilience(&resilience);
            return known;
        }
        let members = catalog.members(&key.service, &key.tags);
        let key = Arc::new(key);
        let made = Arc::new(Backend::new(key.clone(), resilience, &self.metrics));
        made.set_members(members);
        of_service.insert(key, Arc::downgrade(&made));
        made
    }
}

/// How many backends of `rule` come before `backend` and are told from it by nothing but
/// that: a rule may write one down twice, with other bounds.
fn twins_before(rule: &Rule, backend: &rule::Backend) -> usize {
    let same = |other: &&rule::Backend| {
        other.service(rule.destination()) == backend.service(rule.destination())
            && other.tags == backend.tags
            && other.balance() == backend.balance()
    };
    let all = rule.route().into_iter().flat_map(|route| &route.backends);
    all.take_while(|other| !std::ptr::eq(*other, backend))
        .filter(same)
        .count()
}
