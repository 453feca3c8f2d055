//! Who a pod is: the service that it belongs to, its tags, and where it listens.
//!
//! The pod and the Services of its namespace are followed, so what is said keeps up with
//! labels and selectors. Called by the sidecar, which is told its pod's name.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    Cluster, Container, PODS, Pod, Port, PortObject, SERVICES, Service, TargetPort, Told, Wanted,
    follow, selects, tags,
};
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

/// Whose identity is asked for.
#[derive(Debug, Clone)]
pub struct Whose {
    /// The name of the pod.
    pub pod: String,
    /// The Service to speak of, if it selects the pod.
    pub service: Option<ServiceName>,
}

/// Follows a pod and says on `out` who it is, from when that is first known until `stop`
/// fires. While the API server is away what was said stands.
pub async fn run(cluster: Cluster, whose: Whose, out: watch::Sender<Option<Found>>, stop: Stop) {
    stop.race(keep(cluster, &whose, out)).await;
}

async fn keep(cluster: Cluster, whose: &Whose, out: watch::Sender<Option<Found>>) {
    let Cluster { client, namespace } = cluster;
    let wanted = |resource, name| Wanted {
        resource,
        namespace: Some(&namespace),
        name,
    };
    let pods = follow(client.clone(), wanted(PODS, Some(&whose.pod)));
    let services = follow(client, wanted(SERVICES, None));
    let mut heard = pin!(stream::select(
        pods.map(|told| Heard::Pod(Box::new(told))),
        services.map(|told| Heard::Service(Box::new(told))),
    ));
    let mut known = Known::default();
    let mut said = None;
    while let Some(heard) = heard.next().await {
        let trouble = match heard {
            Heard::Pod(told) => known.pod(*told, whose, &namespace),
            Heard::Service(told) => known.service(*told),
        };
        if let Some(trouble) = trouble {
            if said.as_ref() != Some(&trouble) {
                warn!(pod = whose.pod, problem = %trouble, "who this sidecar is cannot be asked");
                said = Some(trouble);
            }
            continue;
        }
        let (Some(pod), Some(services)) = (&known.pod, &known.services) else {
            continue;
        };
        said = None;
        let found = find(pod, services, whose.service.as_ref());
        out.send_if_modified(|known| {
            let new = known.as_ref() != Some(&found);
            if new {
                say(&whose.pod, &found, known.as_ref());
                *known = Some(found);
            }
            new
        });
    }
}

/// The objects, as far as they have been heard of.
#[derive(Default)]
struct Known {
    pod: Option<Pod>,
    services: Option<BTreeMap<String, Service>>,
}

impl Known {
    /// Takes in what was told of the pod. Returns what is in the way, if anything is.
    fn pod(&mut self, told: Told<Pod>, whose: &Whose, namespace: &str) -> Option<String> {
        match told {
            Told::All { objects, .. } => match objects.into_iter().next() {
                Some(pod) => self.pod = Some(pod),
                None if self.pod.is_none() => {
                    return Some(format!("there is no pod {:?} in {namespace}", whose.pod));
                }
                None => {}
            },
            Told::Put(now) => self.pod = Some(now),
            // Its last moments: what it was it is until the end.
            Told::Gone(_) | Told::Reached(_) => {}
            Told::NoSuchKind => return Some("the API server knows no pods".to_owned()),
            Told::Trouble(trouble) => return Some(trouble.reason),
        }
        None
    }

    /// The same of a service.
    fn service(&mut self, told: Told<Service>) -> Option<String> {
        let named = |service: Service| (service.metadata.name.clone(), service);
        match told {
            Told::All { objects, .. } => {
                self.services = Some(objects.into_iter().map(named).collect());
            }
            Told::Put(service) => {
                self.services
                    .get_or_insert_default()
                    .extend([named(service)]);
            }
            Told::Gone(service) => {
                let services = self.services.as_mut();
                services.map(|known| known.remove(&service.metadata.name));
            }
            Told::Reached(_) => {}
            Told::NoSuchKind => return Some("the API server knows no services".to_owned()),
            Told::Trouble(trouble) => return Some(trouble.reason),
        }
        None
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

/// Who the pod is, given all Services of its namespace by name, of which `preferred` goes first.
fn find(pod: &Pod, services: &BTreeMap<String, Service>, preferred: Option<&ServiceName>) -> Found {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let selecting = services.iter().filter_map(|(name, service)| {
        let selector = service.spec.selector.as_ref()?;
        selects(selector, &labels).then_some(())?;
        let port = service.spec.ports.as_ref().and_then(|p| p.first());
        Some((ServiceName::new(name).ok()?, port))
    });
    let mut selecting: Vec<_> = selecting.collect();
    // Stable: the others stay in their order.
    selecting.sort_by_key(|(name, _)| Some(name) != preferred);
    let mut selecting = selecting.into_iter();
    let first = selecting.next();
    Found {
        place: first.as_ref().and_then(|(_, port)| place(pod, (*port)?)),
        service: first.map(|(name, _)| name),
        others: selecting.map(|(name, _)| name).collect(),
        tags: tags(Some(labels)),
        host: pod.status.pod_ip.clone(),
    }
}

/// Where a port of a Service leads to in the pod.
fn place(pod: &Pod, port: &PortObject) -> Option<Place> {
    let known = Port::of(port)?;
    let number = match &port.target_port {
        None => Some(known.number),
        // Zero is what a target port is that was never set.
        Some(TargetPort::Number(0)) => Some(known.number),
        Some(TargetPort::Number(number)) => u16::try_from(*number).ok(),
        Some(TargetPort::Name(name)) => named_port(pod, name),
    };
    Some(Place {
        port: number?,
        kind: known.kind,
        protocol: known.http,
    })
}

fn named_port(pod: &Pod, name: &str) -> Option<u16> {
    let sidecars = pod.spec.init_containers.iter().flatten();
    let mut containers = pod.spec.containers.iter().chain(sidecars);
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
        found_as(services, None)
    }

    fn found_as(services: &serde_json::Value, preferred: Option<&ServiceName>) -> Found {
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
        find(
            &serde_json::from_value(pod).unwrap(),
            &services.collect(),
            preferred,
        )
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
    fn the_service_that_the_sidecar_is_told_to_be_counts_if_it_selects_the_pod() {
        let services = json!({
            "admin": {"selector": {"app": "reviews"}, "ports": [{"port": 9901}]},
            "reviews": {"selector": {"app": "reviews"}, "ports": [{"port": 9080}]},
            "details": {"selector": {"app": "details"}, "ports": [{"port": 1}]},
        });
        for (told, wanted, port) in [
            ("reviews", "reviews", 9080),
            ("details", "admin", 9901),
            ("mine", "admin", 9901),
        ] {
            let who = found_as(&services, ServiceName::new(told).ok().as_ref());
            assert_eq!(who.service.unwrap().as_str(), wanted);
            assert_eq!(who.place.unwrap().port, port);
            assert_eq!(who.others.len(), 1);
        }
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
