//! Slices, pods and services put together, service by service.
//!
//! A change marks the services that it touches, and only these are put together anew. What
//! comes out is compared with what was there: an instance that stays the same is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::claims::Claims;
use super::small::{Address, Family, Pod, Serves, Service, Slice, metadata};
use crate::kubernetes::{self, EndpointSlice, Head, Port};
use crate::model::{Endpoint, EndpointType, Instance, InstanceId, ServiceName, Status, Tags};

/// A name that is unique within the namespace.
type Name = Arc<str>;

/// What is known, and what has been made of it.
#[derive(Default)]
pub(super) struct Join {
    slices: HashMap<Name, Slice>,
    pods: HashMap<Name, Pod>,
    services: HashMap<ServiceName, Service>,
    /// The slices of each service.
    slices_of: HashMap<ServiceName, BTreeSet<Name>>,
    /// The services that have an address of the pod, by name, and how many of their slices.
    services_of: HashMap<Name, BTreeMap<ServiceName, usize>>,
    /// To be put together anew.
    touched: BTreeSet<ServiceName>,
    claims: Claims,
    /// Whether addresses of pods that are not known are instances all the same.
    without_pods: bool,
    /// Whether it is doubted that nobody is ready.
    doubtful: bool,
    made: HashMap<ServiceName, BTreeMap<InstanceId, Arc<Instance>>>,
}

/// What is other than before.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) upserts: Vec<Arc<Instance>>,
    pub(super) removes: Vec<InstanceId>,
}

impl Join {
    pub(super) fn slices(&mut self, all: Vec<EndpointSlice>) {
        let names: BTreeSet<String> = all.iter().map(|s| s.metadata.name.clone()).collect();
        let known: Vec<Name> = self.slices.keys().cloned().collect();
        for name in known.iter().filter(|name| !names.contains(&***name)) {
            self.take_slice(name);
        }
        all.into_iter().for_each(|slice| self.slice(slice));
    }

    pub(super) fn slice(&mut self, slice: EndpointSlice) {
        let name = Name::from(&*slice.metadata.name);
        let slice = Slice::of(slice);
        if self.slices.get(&name) == slice.as_ref() {
            return;
        }
        self.take_slice(&name);
        let Some(slice) = slice else {
            return;
        };
        for pod in slice
            .addresses
            .iter()
            .filter_map(|address| address.pod.as_ref())
        {
            let services = self.services_of.entry(pod.clone()).or_default();
            *services.entry(slice.service.clone()).or_default() += 1;
            touch_all(&mut self.touched, services);
        }
        self.touched.insert(slice.service.clone());
        let slices = self.slices_of.entry(slice.service.clone()).or_default();
        slices.insert(name.clone());
        self.slices.insert(name, slice);
    }

    pub(super) fn no_slice(&mut self, slice: &EndpointSlice) {
        self.take_slice(&slice.metadata.name);
    }

    fn take_slice(&mut self, name: &str) {
        let Some(slice) = self.slices.remove(name) else {
            return;
        };
        for pod in slice
            .addresses
            .iter()
            .filter_map(|address| address.pod.as_ref())
        {
            let Some(services) = self.services_of.get_mut(pod) else {
                continue;
            };
            touch_all(&mut self.touched, services);
            if let Some(count) = services.get_mut(&slice.service) {
                *count -= 1;
                if *count == 0 {
                    services.remove(&slice.service);
                }
            }
            if services.is_empty() {
                self.services_of.remove(pod);
            }
        }
        if let Some(slices) = self.slices_of.get_mut(&slice.service) {
            slices.remove(name);
            if slices.is_empty() {
                self.slices_of.remove(&slice.service);
            }
        }
        self.touched.insert(slice.service);
    }

    pub(super) fn pods(&mut self, all: Vec<Head>) {
        let names: BTreeSet<String> = all.iter().map(|pod| pod.metadata.name.clone()).collect();
        let known: Vec<Name> = self.pods.keys().cloned().collect();
        for name in known.iter().filter(|name| !names.contains(&***name)) {
            self.take_pod(name);
        }
        all.into_iter().for_each(|pod| self.pod(pod));
    }

    pub(super) fn pod(&mut self, pod: Head) {
        let (name, pod) = Pod::of(pod);
        if self.pods.get(&name) != Some(&pod) {
            self.touch_services_of(&name);
            self.pods.insert(name, pod);
        }
    }

    pub(super) fn no_pod(&mut self, pod: &Head) {
        self.take_pod(&pod.metadata.name);
    }

    fn take_pod(&mut self, name: &str) {
        if self.pods.remove(name).is_some() {
            self.touch_services_of(name);
        }
    }

    fn touch_services_of(&mut self, pod: &str) {
        if let Some(services) = self.services_of.get(pod) {
            touch_all(&mut self.touched, services);
        }
    }

    pub(super) fn services(&mut self, all: Vec<kubernetes::Service>) {
        let names: BTreeSet<String> = all.iter().map(|s| s.metadata.name.clone()).collect();
        let known: Vec<ServiceName> = self.services.keys().cloned().collect();
        for name in known
            .into_iter()
            .filter(|name| !names.contains(name.as_str()))
        {
            self.take_service(name);
        }
        all.into_iter().for_each(|service| self.service(service));
    }

    pub(super) fn service(&mut self, service: kubernetes::Service) {
        let Some((name, service)) = Service::of(service) else {
            return;
        };
        if self.services.get(&name) != Some(&service) {
            self.touched.insert(name.clone());
            self.services.insert(name, service);
        }
    }

    pub(super) fn no_service(&mut self, service: &kubernetes::Service) {
        if let Ok(name) = ServiceName::new(&*service.metadata.name) {
            self.take_service(name);
        }
    }

    fn take_service(&mut self, name: ServiceName) {
        if self.services.remove(&name).is_some() {
            self.touched.insert(name);
        }
    }

    /// Whether pods are not to be waited for, since nothing is told of them.
    pub(super) fn go_without_pods(&mut self, without: bool) {
        if std::mem::replace(&mut self.without_pods, without) != without {
            self.touched.extend(self.slices_of.keys().cloned());
        }
    }

    /// Whether it is to be doubted that nobody is ready.
    pub(super) fn doubt(&mut self, doubtful: bool) {
        if std::mem::replace(&mut self.doubtful, doubtful) && !doubtful {
            self.touched.extend(self.slices_of.keys().cloned());
        }
    }

    /// Puts together anew what was touched.
    pub(super) fn changed(&mut self) -> Changed {
        let mut drafts = BTreeMap::new();
        while let Some(service) = self.touched.pop_first() {
            let draft = self.make(&service);
            // The ids of others may change with it; then these are touched.
            let ids = draft.iter().map(|instance| instance.id.clone());
            self.claims.put(&service, ids.collect(), &mut self.touched);
            drafts.insert(service, draft);
        }
        let mut changed = Changed::default();
        for (service, draft) in drafts {
            let mut made = self.made.remove(&service).unwrap_or_default();
            let mut now = BTreeMap::new();
            let named = |draft| self.claims.name(draft);
            for instance in draft.into_iter().filter_map(named) {
                let instance = match made.remove(&instance.id) {
                    Some(before) if *before == instance => before,
                    _ => {
                        let instance = Arc::new(instance);
                        changed.upserts.push(instance.clone());
                        instance
                    }
                };
                now.insert(instance.id.clone(), instance);
            }
            changed.removes.extend(made.into_keys());
            if !now.is_empty() {
                self.made.insert(service, now);
            }
        }
        // An id that changes hands between two services is not gone.
        if !changed.removes.is_empty() {
            let there: BTreeSet<&InstanceId> = changed.upserts.iter().map(|i| &i.id).collect();
            changed.removes.retain(|id| !there.contains(id));
        }
        changed
    }

    /// The instances of a service, with ids that others may have as well. Addresses about to
    /// end are taken where none other is left; and where that is doubtful, those that were
    /// instances until now.
    fn make(&self, service: &ServiceName) -> Vec<Instance> {
        let known = self.services.get(service);
        if let Some(external) = known.and_then(|service| service.external.as_ref()) {
            let host = &external.host;
            // Without a port it is called at that of HTTP.
            let port = external.ports.first();
            let id = format!("{host}-{}", port.map_or(80, |port| port.number));
            return new(service, id, host, port, external.tags.clone())
                .into_iter()
                .collect();
        }
        let preferred = known.map_or(Family::V4, |service| service.family);
        for serves in [Serves::Yes, Serves::Last] {
            let some = self.serving(service, serves, preferred);
            if !some.is_empty() {
                return some;
            }
        }
        match self.made.get(service) {
            Some(made) if self.doubtful => {
                let before: HashSet<&str> = made.values().map(|i| i.endpoint.value()).collect();
                let mut unready = self.serving(service, Serves::Unready, preferred);
                unready.retain(|instance| before.contains(instance.endpoint.value()));
                unready
            }
            _ => Vec::new(),
        }
    }

    fn serving(&self, service: &ServiceName, serves: Serves, preferred: Family) -> Vec<Instance> {
        let mut found: BTreeMap<InstanceId, ((bool, bool), Instance)> = BTreeMap::new();
        let names = self.slices_of.get(service).into_iter().flatten();
        for slice in names.filter_map(|name| self.slices.get(name)) {
            let addresses = slice.addresses.iter();
            for address in addresses.filter(|address| address.serves == serves) {
                for port in &slice.ports {
                    let Some(instance) = self.instance(service, address, port) else {
                        continue;
                    };
                    // A pod in slices of both families is there once, as is a port that is
                    // open for UDP as well.
                    let rank = (port.kind == EndpointType::Udp, slice.family != preferred);
                    let known = found.get(&instance.id);
                    if known.is_none_or(|(known, _)| rank < *known) {
                        found.insert(instance.id.clone(), (rank, instance));
                    }
                }
            }
        }
        let instances = found.into_values().map(|(_, instance)| instance);
        instances.collect()
    }

    /// `None` for an address of a pod that is not there, or not yet.
    fn instance(&self, service: &ServiceName, address: &Address, port: &Port) -> Option<Instance> {
        let host = &address.host;
        let Some(name) = &address.pod else {
            let id = format!("{host}-{}", port.number);
            return new(service, id, host, Some(port), Tags::default());
        };
        let same = |pod: &&Pod| address.uid.as_ref().is_none_or(|uid| *uid == pod.uid);
        match self.pods.get(name).filter(same) {
            Some(pod) => {
                let id = format!("{}-{}", pod.uid, port.number);
                let mut instance = new(service, id, host, Some(port), pod.tags.clone())?;
                instance.metadata = metadata(&pod.annotations, port);
                Some(instance)
            }
            None if self.without_pods => {
                let pod = address.uid.as_ref().unwrap_or(name);
                let id = format!("{pod}-{}", port.number);
                new(service, id, host, Some(port), Tags::default())
            }
            None => None,
        }
    }
}

fn touch_all(touched: &mut BTreeSet<ServiceName>, services: &BTreeMap<ServiceName, usize>) {
    // One is what nearly every pod has; it is touched with its slice anyway.
    touched.extend(services.keys().cloned());
}

fn new(
    service: &ServiceName,
    id: String,
    host: &str,
    port: Option<&Port>,
    tags: Tags,
) -> Option<Instance> {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let (kind, value) = match port {
        Some(port) => (port.kind, format!("{host}:{}", port.number)),
        None => (EndpointType::Http, host),
    };
    Some(Instance {
        id: InstanceId::new(id).ok()?,
        service_name: service.clone(),
        endpoint: Endpoint::new(kind, &value).ok()?,
        ttl: 0,
        status: Status::Up,
        last_heartbeat: Timestamp::UNIX_EPOCH,
        tags,
        metadata: port.and_then(|port| metadata(&BTreeMap::new(), port)),
    })
}
