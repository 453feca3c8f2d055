//! Whose an id is, where services share what it is made of.
//!
//! Two Services may select one pod, stand for one host outside of the cluster, or have one
//! address among their endpoints; each has an instance of it, and ids are unique. The first
//! service by name has the plain id, each other one with its own name behind.

use std::collections::{BTreeSet, HashMap};

use crate::model::{Instance, InstanceId, ServiceName};

/// Which services have an instance of which id.
#[derive(Default)]
pub(super) struct Claims {
    services_of: HashMap<InstanceId, BTreeSet<ServiceName>>,
    ids_of: HashMap<ServiceName, BTreeSet<InstanceId>>,
}

impl Claims {
    /// These are the ids of `service` now. Services whose ids read otherwise by that are added
    /// to `touched`.
    pub(super) fn put(
        &mut self,
        service: &ServiceName,
        now: BTreeSet<InstanceId>,
        touched: &mut BTreeSet<ServiceName>,
    ) {
        let before = self.ids_of.remove(service).unwrap_or_default();
        for id in now.difference(&before) {
            let services = self.services_of.entry(id.clone()).or_default();
            let former = services.first().cloned();
            services.insert(service.clone());
            touched.extend(former.filter(|former| service < former));
        }
        for id in before.difference(&now) {
            let Some(services) = self.services_of.get_mut(id) else {
                continue;
            };
            let was_first = services.first() == Some(service);
            services.remove(service);
            match services.first() {
                Some(next) if was_first => {
                    touched.insert(next.clone());
                }
                Some(_) => {}
                None => {
                    self.services_of.remove(id);
                }
            }
        }
        if !now.is_empty() {
            self.ids_of.insert(service.clone(), now);
        }
    }

    /// `draft` with the id that its service has for it.
    pub(super) fn name(&self, mut draft: Instance) -> Option<Instance> {
        let services = self.services_of.get(&draft.id);
        let first = services.and_then(BTreeSet::first);
        if first.is_some_and(|first| *first != draft.service_name) {
            draft.id = InstanceId::new(format!("{}-{}", draft.id, draft.service_name)).ok()?;
        }
        Some(draft)
    }
}
