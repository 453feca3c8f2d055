//! Slices, pods and services put together, service by service.
//!
//! A change marks the services that it touches, and only these are put together anew. What
//! comes out is compared with what was there: an instance that stays the same is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod as CorePod, Service as CoreService};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;

use super::small::{Address, Family, Pod, Serves, Service, Slice, metadata};
use crate::kubernetes::Port;
use crate::model::{Endpoint, Instance, InstanceId, ServiceName, Status, Tags};

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
        let named = |slice: &EndpointSlice| slice.metadata.name.clone().unwrap_or_default();
        let names: BTreeSet<String> = all.iter().map(named).collect();
        let known: Vec<Name> = self.slices.keys().cloned().collect();
        for name in known.iter().filter(|name| !names.contains(&***name)) {
            self.take_slice(name);
        }
        all.into_iter().for_each(|slice| self.slice(slice));
    }

    pub(super) fn slice(&mut self, slice: EndpointSlice) {
        let Some(name) = slice.metadata.name.as_deref().map(Name::from) else {
            return;
        };
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
        if let Some(name) = &slice.metadata.name {
            self.take_slice(name);
        }
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

    pub(super) fn pods(&mut self, all: Vec<PartialObjectMeta<CorePod>>) {
        let named = |pod: &PartialObjectMeta<CorePod>| pod.metadata.name.clone();
        let names: BTreeSet<String> = all.iter().filter_map(named).collect();
        let known: Vec<Name> = self.pods.keys().cloned().collect();
        for name in known.iter().filter(|name| !names.contains(&***name)) {
            self.take_pod(name);
        }
        all.into_iter().for_each(|pod| self.pod(pod));
    }

    pub(super) fn pod(&mut self, pod: PartialObjectMeta<CorePod>) {
        let Some((name, pod)) = Pod::of(pod) else {
            return;
        };
        if self.pods.get(&name) != Some(&pod) {
            self.touch_services_of(&name);
            self.pods.insert(name, pod);
        }
    }

    pub(super) fn no_pod(&mut self, pod: &PartialObjectMeta<CorePod>) {
        if let Some(name) = &pod.metadata.name {
            self.take_pod(name);
        }
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

    pub(super) fn services(&mut self, all: Vec<CoreService>) {
        let named = |service: &CoreService| service.metadata.name.clone();
        let names: BTreeSet<String> = all.iter().filter_map(named).collect();
        let known: Vec<ServiceName> = self.services.keys().cloned().collect();
        for name in known
            .into_iter()
            .filter(|name| !names.contains(name.as_str()))
        {
            self.take_service(name);
        }
        all.into_iter().for_each(|service| self.service(service));
    }

    pub(super) fn service(&mut self, service: CoreService) {
        let Some((name, service)) = Service::of(service) else {
            return;
        };
        if self.services.get(&name) != Some(&service) {
            self.touched.insert(name.clone());
            self.services.insert(name, service);
        }
    }

    pub(super) fn no_service(&mut self, service: &CoreService) {
        let name = service.metadata.name.as_ref();
        if let Some(Ok(name)) = name.map(ServiceName::new) {
            self.take_service(name);
        }
    }

    fn take_service(&mut self, name: ServiceName) {
        if self.services.remove(&name).is_some() {
            self.touched.insert(name);
        }
    }

    /// Puts together anew what was touched.
    pub(super) fn changed(&mut self) -> Changed {
        let mut changed = Changed::default();
        for service in std::mem::take(&mut self.touched) {
            let mut made = self.made.remove(&service).unwrap_or_default();
            let mut now = BTreeMap::new();
            for instance in self.make(&service) {
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

    /// The instances of a service. Addresses about to end are taken where none other is left.
    fn make(&self, service: &ServiceName) -> Vec<Instance> {
        let known = self.services.get(service);
        let names = self.slices_of.get(service).into_iter().flatten();
        let slices: Vec<&Slice> = names.filter_map(|name| self.slices.get(name)).collect();
        let preferred = known.map_or(Family::V4, |service| service.family);
        let from = |serves: Serves| {
            let mut found: BTreeMap<InstanceId, (Family, Instance)> = BTreeMap::new();
            for slice in &slices {
                let addresses = slice.addresses.iter();
                for address in addresses.filter(|address| address.serves == serves) {
                    for port in &slice.ports {
                        let Some(instance) = self.instance(service, address, port) else {
                            continue;
                        };
                        let known = found.get(&instance.id);
                        // A pod in slices of both families is there once.
                        if known.is_none_or(|(family, _)| *family != preferred) {
                            found.insert(instance.id.clone(), (slice.family, instance));
                        }
                    }
                }
            }
            found
                .into_values()
                .map(|(_, instance)| instance)
                .collect::<Vec<_>>()
        };
        if let Some(external) = known.and_then(|service| service.external.as_ref()) {
            let host = &external.host;
            let ports = external.ports.iter().map(Some);
            // Without a port it is called at that of HTTP.
            let first = ports.chain([None]).next().flatten();
            let made = new(
                service,
                format!("{host}-{}", first.map_or(80, |port| port.number)),
                host,
                first,
                external.tags.clone(),
            );
            return made.into_iter().collect();
        }
        match from(Serves::Yes) {
            none if none.is_empty() => from(Serves::Last),
            some => some,
        }
    }

    /// `None` for an address of a pod that is not there, or not yet.
    fn instance(&self, service: &ServiceName, address: &Address, port: &Port) -> Option<Instance> {
        let host = &address.host;
        let Some(name) = &address.pod else {
            let id = format!("{host}-{}", port.number);
            return new(service, id, host, Some(port), Tags::default());
        };
        let same = |pod: &&Pod| address.uid.as_ref().is_none_or(|uid| *uid == pod.uid);
        let pod = self.pods.get(name).filter(same)?;
        let mut id = format!("{}-{}", pod.uid, port.number);
        // Two services may share a pod and its port; ids may not.
        let first = self.services_of.get(name)?.keys().next();
        if first != Some(service) {
            id = format!("{id}-{service}");
        }
        let mut instance = new(service, id, host, Some(port), pod.tags.clone())?;
        instance.metadata = metadata(&pod.annotations, port);
        Some(instance)
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
        None => (crate::model::EndpointType::Http, host),
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
