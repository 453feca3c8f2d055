//! What is kept of each object: as little as an instance is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::kubernetes::{self, Conditions, Endpoint, EndpointSlice, Head, Port, tags};
use crate::model::{HttpVersion, Metadata, ServiceName, Tags};

/// The label by which a slice names its service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
/// Annotations for kubectl's own use, as long as the object itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A part of the addresses of a service.
#[derive(Debug, PartialEq)]
pub(super) struct Slice {
    pub(super) service: ServiceName,
    pub(super) family: Family,
    pub(super) ports: Vec<Port>,
    pub(super) addresses: Vec<Address>,
}

/// What kind of addresses a slice has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Name,
}

/// One address of a service.
#[derive(Debug, PartialEq)]
pub(super) struct Address {
    pub(super) host: Arc<str>,
    /// The name of the pod that has it, where one has.
    pub(super) pod: Option<Arc<str>>,
    /// That pod's uid: another of the same name may have taken its place.
    pub(super) uid: Option<Arc<str>>,
    pub(super) serves: Serves,
}

/// Whether an address takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    Yes,
    /// It is about to end, and still answers: where nothing else is left.
    Last,
    /// It is said not to be ready.
    Unready,
    No,
}

/// The pod behind an address.
#[derive(Debug, PartialEq)]
pub(super) struct Pod {
    pub(super) uid: Arc<str>,
    pub(super) tags: Tags,
    pub(super) annotations: BTreeMap<String, String>,
}

/// What is to be known of a service beside its slices.
#[derive(Debug, PartialEq)]
pub(super) struct Service {
    /// The family whose address of a pod is taken where it has one of each.
    pub(super) family: Family,
    /// Where a service of the type ExternalName is.
    pub(super) external: Option<External>,
}

/// A service outside of the cluster.
#[derive(Debug, PartialEq)]
pub(super) struct External {
    pub(super) host: Arc<str>,
    pub(super) ports: Vec<Port>,
    pub(super) tags: Tags,
}

impl Slice {
    /// `None` for the slice of no service.
    pub(super) fn of(slice: EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels?.remove(SERVICE_LABEL)?;
        let ports = slice.ports.unwrap_or_default();
        Some(Self {
            service: ServiceName::new(service).ok()?,
            family: match slice.address_type.as_str() {
                "IPv6" => Family::V6,
                "FQDN" => Family::Name,
                _ => Family::V4,
            },
            ports: ports.iter().filter_map(Port::of).collect(),
            addresses: slice
                .endpoints
                .into_iter()
                .flatten()
                .filter_map(Address::of)
                .collect(),
        })
    }
}

impl Address {
    fn of(endpoint: Endpoint) -> Option<Self> {
        let pod = endpoint
            .target_ref
            .filter(|to| to.kind.as_deref() == Some("Pod"));
        let (pod, uid) = pod.map(|pod| (pod.name, pod.uid)).unwrap_or_default();
        Some(Self {
            serves: Serves::of(endpoint.conditions.as_ref()),
            pod: pod.map(Into::into),
            uid: uid.map(Into::into),
            // Consumers are to look at the first address only.
            host: endpoint.addresses.into_iter().next()?.into(),
        })
    }
}

impl Serves {
    /// As [the API] has it: what is not said is taken for ready, and for not terminating.
    ///
    /// [the API]: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
    fn of(conditions: Option<&Conditions>) -> Self {
        let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
        let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
        match (ready && serving, terminating, serving) {
            (true, false, _) => Self::Yes,
            (_, true, true) => Self::Last,
            (false, false, _) => Self::Unready,
            _ => Self::No,
        }
    }
}

impl Pod {
    pub(super) fn of(pod: Head) -> (Arc<str>, Self) {
        let metadata = pod.metadata;
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.remove(LAST_APPLIED);
        let pod = Self {
            uid: metadata.uid.into(),
            tags: tags(metadata.labels),
            annotations,
        };
        (metadata.name.into(), pod)
    }
}

impl Service {
    pub(super) fn of(service: kubernetes::Service) -> Option<(ServiceName, Self)> {
        let name = ServiceName::new(service.metadata.name).ok()?;
        let spec = service.spec;
        let first = spec
            .ip_families
            .as_ref()
            .and_then(|families| families.first());
        let ports = spec.ports.unwrap_or_default();
        let external = spec
            .external_name
            .filter(|_| spec.kind.as_deref() == Some("ExternalName"));
        let external = external.map(|host| External {
            host: host.trim_end_matches('.').into(),
            ports: ports.iter().filter_map(Port::of).collect(),
            tags: tags(service.metadata.labels),
        });
        let family = match first.map(String::as_str) {
            Some("IPv6") => Family::V6,
            _ => Family::V4,
        };
        Some((name, Self { family, external }))
    }
}

/// Annotations as metadata, with what the port is called and which version of HTTP it speaks.
/// Of annotations that are too long for metadata, those are left out that do not fit any more.
pub(super) fn metadata(annotations: &BTreeMap<String, String>, port: &Port) -> Option<Metadata> {
    let own = [
        ("port", port.name.as_deref()),
        ("protocol", port.http.map(HttpVersion::name)),
    ];
    let own = own
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let others = annotations.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let mut members = serde_json::Map::new();
    // The braces.
    let mut length = 2;
    for (key, value) in own.chain(others) {
        let written = |text: &str| Value::from(text).to_string().len();
        // A colon and a comma.
        let more = written(key) + written(value) + 2;
        if length + more <= Metadata::MAX_BYTES && !members.contains_key(key) {
            length += more;
            members.insert(key.to_owned(), value.into());
        }
    }
    match members.is_empty() {
        true => None,
        false => to_raw_value(&members).ok().map(Metadata::new),
    }
}
