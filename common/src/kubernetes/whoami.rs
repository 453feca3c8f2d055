//! Who a pod is: the service that it belongs to, its tags, and where it listens.
//!
//! The pod and the Services of its namespace are followed, so what is said keeps up with
//! labels and selectors. Called by the sidecar, which is told its pod's name.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::Api;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{Cluster, Port, Told, Which, follow, reason, selects, tags};
use crate::model::{EndpointType, HttpVersion, ServiceName, Tags};
use crate::task::Stop;

/// What is known of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The first, by name, of the Services that select it.
    pub service: Option<ServiceName>,
    /// The others.
    pub others: Vec<ServiceName>,
    /// Its labels.
    pub tags: Tags,
    /// Its address.
    pub host: Option<String>,
    /// Where the service's first port leads to in it.
    pub place: Option<Place>,
}

/// A port of a pod, and how it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The port.
    pub port: u16,
    /// How it is spoken to.
    pub kind: EndpointType,
    /// The only version of HTTP that it speaks, where that is said.
    pub protocol: Option<HttpVersion>,
}

enum Heard {
    Pod(Box<Told<Pod>>),
    Service(Box<Told<Service>>),
}

/// Follows the pod of this name and says on `out` who it is, from when that is first known
/// until `stop` fires. While the API server is away what was said stands.
pub async fn run(cluster: Cluster, pod: String, out: watch::Sender<Option<Found>>, stop: Stop) {
    stop.race(keep(cluster, &pod, out)).await;
}

async fn keep(cluster: Cluster, name: &str, out: watch::Sender<Option<Found>>) {
    let Cluster { client, namespace } = cluster;
    let pods = follow(
        Api::namespaced(client.clone(), &namespace),
        Which::Named(name),
    );
    let services = follow(Api::namespaced(client, &namespace), Which::All);
    let mut heard = pin!(stream::select(
        pods.map(|told| Heard::Pod(Box::new(told))),
        services.map(|told| Heard::Service(Box::new(told))),
    ));
    let mut pod = None;
    let mut services: Option<BTreeMap<String, Service>> = None;
    let mut said = String::new();
    let named = |service: Service| Some((service.metadata.name.clone()?, service));
    while let Some(heard) = heard.next().await {
        let mut trouble = None;
        match heard {
            Heard::Pod(told) => match *told {
                Told::All(pods) => {
                    pod = pods.into_iter().next();
                    if pod.is_none() {
                        trouble = Some(format!("there is no pod {name:?} in {namespace}"));
                    }
                }
                Told::Put(now) => pod = Some(now),
                // Its last moments: what it was it is until the end.
                Told::Gone(_) => {}
                Told::Trouble(e) => trouble = Some(reason(&e)),
            },
            Heard::Service(told) => match *told {
                Told::All(all) => services = Some(all.into_iter().filter_map(named).collect()),
                Told::Put(service) => {
                    services.get_or_insert_default().extend(named(service));
                }
                Told::Gone(service) => {
                    let known = services.as_mut().zip(service.metadata.name);
                    known.map(|(services, name)| services.remove(&name));
                }
                Told::Trouble(e) => trouble = Some(reason(&e)),
            },
        }
        if let Some(trouble) = trouble {
            if trouble != said {
                warn!(pod = name, problem = %trouble, "who this sidecar is cannot be asked");
                said = trouble;
            }
            continue;
        }
        let (Some(pod), Some(services)) = (&pod, &services) else {
            continue;
        };
        said.clear();
        let found = Some(find(pod, services));
        out.send_if_modified(|known| {
            let new = *known != found;
            if new {
                found
                    .as_ref()
                    .inspect(|found| say(name, found, known.as_ref()));
                known.clone_from(&found);
            }
            new
        });
    }
}

fn say(pod: &str, found: &Found, before: Option<&Found>) {
    let Found {
        service,
        others,
        tags,
        ..
    } = found;
    let service = service.as_ref().map_or("(none)", ServiceName::as_str);
    info!(pod, service, %tags, "this sidecar's pod");
    if !others.is_empty() && before.is_none_or(|before| before.others != *others) {
        let others: Vec<_> = others.iter().map(ServiceName::as_str).collect();
        let others = others.join(", ");
        warn!(
            pod,
            service, others, "several Services select this pod; the first by name counts"
        );
    }
}

/// Who the pod is, given all Services of its namespace by name.
fn find(pod: &Pod, services: &BTreeMap<String, Service>) -> Found {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let selecting = services.iter().filter_map(|(name, service)| {
        let spec = service.spec.as_ref()?;
        let selector = spec.selector.as_ref()?;
        selects(selector, &labels).then_some(())?;
        Some((
            ServiceName::new(name).ok()?,
            spec.ports.as_ref().and_then(|p| p.first()),
        ))
    });
    let mut selecting = selecting.peekable();
    let first = selecting.next();
    let status = pod.status.as_ref();
    Found {
        place: first.as_ref().and_then(|(_, port)| place(pod, (*port)?)),
        service: first.map(|(name, _)| name),
        others: selecting.map(|(name, _)| name).collect(),
        tags: tags(Some(labels)),
        host: status.and_then(|status| status.pod_ip.clone()),
    }
}

/// Where a port of a Service leads to in the pod.
fn place(pod: &Pod, port: &ServicePort) -> Option<Place> {
    let known = Port::of_service(port)?;
    let number = match &port.target_port {
        None => Some(known.number),
        // Zero is what a target port is that was never set.
        Some(IntOrString::Int(0)) => Some(known.number),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        Some(IntOrString::String(name)) => named_port(pod, name),
    };
    Some(Place {
        port: number?,
        kind: known.kind,
        protocol: known.http,
    })
}

fn named_port(pod: &Pod, name: &str) -> Option<u16> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let mut containers = spec.containers.iter().chain(sidecars);
    containers.find_map(|container: &Container| {
        let mut ports = container.ports.iter().flatten();
        let port = ports.find(|port| port.name.as_deref() == Some(name))?;
        u16::try_from(port.container_port).ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(services: &serde_json::Value) -> Found {
        let pod = json!({
            "metadata": {"name": "a", "labels": {"app": "reviews", "version": "v2", "canary": ""}},
            "spec": {"containers": [{"name": "app", "ports": [{"name": "web", "containerPort": 9080}]}],
                "initContainers": [{"name": "proxy", "ports": [{"name": "side", "containerPort": 6379}]}]},
            "status": {"podIP": "10.0.0.1"},
        });
        let services = services.as_object().unwrap().iter().map(|(name, spec)| {
            let service = json!({"metadata": {"name": name}, "spec": spec});
            (name.clone(), serde_json::from_value(service).unwrap())
        });
        find(&serde_json::from_value(pod).unwrap(), &services.collect())
    }

    #[test]
    fn the_first_service_by_name_that_selects_the_pod_is_taken() {
        let who = found(&json!({
            "zebra": {"selector": {"app": "reviews"}, "ports": [{"port": 1}]},
            "reviews": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]},
            "details": {"selector": {"app": "details"}, "ports": [{"port": 1}]},
            "all": {"ports": [{"port": 1}]}, "none": {"selector": {}},
        }));
        assert_eq!(who.service, Some(ServiceName::new("reviews").unwrap()));
        assert_eq!(who.others, [ServiceName::new("zebra").unwrap()]);
        assert_eq!(who.tags.to_string(), "app=reviews,canary,version=v2");
        assert_eq!(who.host.as_deref(), Some("10.0.0.1"));
        let place = who.place.unwrap();
        assert_eq!((place.port, place.kind), (9080, EndpointType::Http));
    }

    #[test]
    fn a_target_port_is_a_number_or_a_name() {
        let port = |target: serde_json::Value| {
            let port = json!({"port": 80, "appProtocol": "grpc", "targetPort": target});
            let place =
                found(&json!({"s": {"selector": {"version": "v2"}, "ports": [port]}})).place;
            place.map(|place| (place.port, place.protocol))
        };
        let two = Some(HttpVersion::Two);
        assert_eq!(port(json!(8080)), Some((8080, two)));
        assert_eq!(port(json!(null)), Some((80, two)));
        assert_eq!(port(json!("web")), Some((9080, two)));
        assert_eq!(port(json!("side")), Some((6379, two)));
        assert_eq!(port(json!("other")), None);
    }

    #[test]
    fn a_pod_of_no_service_has_its_labels_all_the_same() {
        let who = found(&json!({}));
        assert_eq!((who.service, who.place), (None, None));
        assert_eq!(who.tags.len(), 3);
    }
}
