//! The meaning of slices, pods and services, object by object.

mod doubtful;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::model::InstanceId;

#[derive(Default)]
struct World {
    join: Join,
    /// What somebody would know who had been told of every change.
    known: BTreeMap<InstanceId, Arc<Instance>>,
}

fn read<T: serde::de::DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn slice(name: &str, service: &str, ports: Value, endpoints: Value) -> EndpointSlice {
    let family = if endpoints.to_string().contains("::") {
        "IPv6"
    } else {
        "IPv4"
    };
    read(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": family, "ports": ports, "endpoints": endpoints,
    }))
}

fn at(address: &str, pod: &str) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false},
        "targetRef": {"kind": "Pod", "name": pod, "uid": format!("uid-{pod}")}})
}

fn with(mut endpoint: Value, ready: bool, serving: bool, terminating: bool) -> Value {
    endpoint["conditions"] =
        json!({"ready": ready, "serving": serving, "terminating": terminating});
    endpoint
}

fn pod(name: &str, labels: Value) -> Head {
    read(json!({"metadata": {"name": name, "uid": format!("uid-{name}"), "labels": labels}}))
}

fn http() -> Value {
    json!([{"name": "http", "port": 9080, "protocol": "TCP"}])
}

impl World {
    fn slice(&mut self, slice: EndpointSlice) -> &mut Self {
        self.join.slice(slice);
        self
    }

    fn pod(&mut self, name: &str, labels: Value) -> &mut Self {
        self.join.pod(pod(name, labels));
        self
    }

    /// Takes in the changes. How many instances were told of anew.
    fn settle(&mut self) -> usize {
        let Changed { upserts, removes } = self.join.changed();
        let told = upserts.len();
        for id in removes {
            assert!(self.known.remove(&id).is_some(), "{id} was never told of");
        }
        for instance in upserts {
            self.known.insert(instance.id.clone(), instance);
        }
        told
    }

    /// `service id endpoint [tags]`, in the order of ids.
    fn shown(&mut self) -> Vec<String> {
        self.settle();
        let show = |i: &Arc<Instance>| {
            let (kind, value) = (i.endpoint.kind(), i.endpoint.value());
            format!("{} {} {kind} {value} [{}]", i.service_name, i.id, i.tags)
        };
        self.known.values().map(show).collect()
    }
}

#[test]
fn a_ready_pod_of_a_service_is_an_instance_with_its_labels() {
    let mut world = World::default();
    world.pod("a", json!({"version": "v1", "canary": ""}));
    world.slice(slice(
        "s-1",
        "reviews",
        http(),
        json!([at("10.0.0.1", "a")]),
    ));
    assert_eq!(
        world.shown(),
        ["reviews uid-a-9080 http 10.0.0.1:9080 [canary,version=v1]"]
    );
}

#[test]
fn pods_come_and_go() {
    let mut world = World::default();
    world.slice(slice(
        "s-1",
        "r",
        http(),
        json!([at("10.0.0.1", "a"), at("10.0.0.2", "b")]),
    ));
    assert_eq!(
        world.shown(),
        Vec::<String>::new(),
        "without its labels rules would miss it"
    );
    world
        .pod("b", json!({}))
        .pod("alone", json!({"app": "of no service"}));
    assert_eq!(world.shown(), ["r uid-b-9080 http 10.0.0.2:9080 []"]);
    world.pod("a", json!({}));
    assert_eq!(world.shown().len(), 2);
    world.join.no_pod(&pod("b", json!({})));
    assert_eq!(world.shown(), ["r uid-a-9080 http 10.0.0.1:9080 []"]);
    world.slice(slice("s-1", "r", http(), json!([])));
    assert_eq!(world.shown(), Vec::<String>::new());
}

#[test]
fn a_pod_of_the_same_name_is_another() {
    let mut world = World::default();
    world.pod("db-0", json!({}));
    world.slice(slice("s-1", "db", http(), json!([at("10.0.0.1", "db-0")])));
    world.settle();
    let mut again = pod("db-0", json!({}));
    again.metadata.uid = "other".to_owned();
    world.join.pod(again);
    assert_eq!(
        world.shown(),
        Vec::<String>::new(),
        "the address is still the old one's"
    );
}

#[test]
fn readiness_decides() {
    let mut world = World::default();
    world.pod("a", json!({})).pod("b", json!({}));
    let (a, b) = (at("10.0.0.1", "a"), at("10.0.0.2", "b"));
    let both = |a: Value, b: Value| slice("s-1", "r", http(), json!([a, b]));
    world.slice(both(with(a.clone(), false, false, false), b.clone()));
    assert_eq!(world.shown(), ["r uid-b-9080 http 10.0.0.2:9080 []"]);
    // What is not said is taken for ready.
    let mut unsaid = a.clone();
    unsaid["conditions"] = json!({});
    world.slice(both(unsaid, b.clone()));
    assert_eq!(world.shown().len(), 2);
    // One that ends is spared while there is another.
    world.slice(both(with(a.clone(), false, true, true), b.clone()));
    assert_eq!(world.shown(), ["r uid-b-9080 http 10.0.0.2:9080 []"]);
    world.slice(both(
        with(a.clone(), false, true, true),
        with(b.clone(), false, false, true),
    ));
    assert_eq!(world.shown(), ["r uid-a-9080 http 10.0.0.1:9080 []"]);
    world.slice(both(
        with(a, false, false, true),
        with(b, false, false, true),
    ));
    assert_eq!(world.shown(), Vec::<String>::new());
}

#[test]
fn labels_are_followed_and_what_stays_is_not_told_again() {
    let mut world = World::default();
    world
        .pod("a", json!({"version": "v1"}))
        .pod("b", json!({"version": "v1"}));
    world.slice(slice(
        "s-1",
        "r",
        http(),
        json!([at("10.0.0.1", "a"), at("10.0.0.2", "b")]),
    ));
    assert_eq!(world.settle(), 2);
    world
        .pod("a", json!({"version": "v2"}))
        .pod("b", json!({"version": "v1"}));
    assert_eq!(world.settle(), 1);
    assert!(world.shown()[0].ends_with("[version=v2]"));
}

#[test]
fn a_service_of_two_ports_has_two_instances_for_each_pod() {
    let mut world = World::default();
    world.pod("a", json!({}));
    let ports = json!([
        {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "grpc-api", "port": 81, "protocol": "TCP"},
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "x", "port": 82, "protocol": "SCTP"}, {"name": "all"},
    ]);
    world.slice(slice("s-1", "r", ports, json!([at("10.0.0.1", "a")])));
    assert_eq!(
        world.shown(),
        [
            "r uid-a-53 udp 10.0.0.1:53 []",
            "r uid-a-80 http 10.0.0.1:80 []",
            "r uid-a-81 http 10.0.0.1:81 []",
        ]
    );
    let said = |id: &str| {
        world.known[&InstanceId::new(id).unwrap()]
            .metadata
            .clone()
            .unwrap()
    };
    assert_eq!(said("uid-a-80").as_str(), r#"{"port":"http"}"#);
    assert_eq!(
        said("uid-a-81").as_str(),
        r#"{"port":"grpc-api","protocol":"h2"}"#
    );
}

#[test]
fn how_a_port_is_spoken_to() {
    for (name, app, wanted) in [
        ("http", None, "http"),
        ("https-web", None, "https"),
        ("web", Some("https"), "https"),
        ("http", Some("tcp"), "tcp"),
        ("web", Some("kubernetes.io/ws"), "http"),
        ("tcp-db", None, "tcp"),
        ("web", None, "tcp"),
        ("", None, "tcp"),
        ("http2", None, "http h2"),
        ("grpc", None, "http h2"),
        ("web", Some("kubernetes.io/h2c"), "http h2"),
        ("http", Some("example.com/own"), "http"),
    ] {
        let mut world = World::default();
        world.pod("a", json!({}));
        let port = json!([{"name": name, "port": 1, "protocol": "TCP", "appProtocol": app}]);
        world.slice(slice("s-1", "r", port, json!([at("10.0.0.1", "a")])));
        world.settle();
        let instance = world.known.values().next().unwrap();
        let version = instance.http_version().map_or("", |version| version.name());
        let got = format!("{} {version}", instance.endpoint.kind());
        assert_eq!(got.trim_end(), wanted, "{name} {app:?}");
    }
}

#[test]
fn two_services_may_share_a_pod_and_its_port() {
    let mut world = World::default();
    world.pod("a", json!({}));
    world.slice(slice(
        "s-1",
        "reviews",
        http(),
        json!([at("10.0.0.1", "a")]),
    ));
    world.settle();
    world.slice(slice(
        "s-2",
        "catalog",
        http(),
        json!([at("10.0.0.1", "a")]),
    ));
    let both = [
        "catalog uid-a-9080 http 10.0.0.1:9080 []",
        "reviews uid-a-9080-reviews http 10.0.0.1:9080 []",
    ];
    assert_eq!(world.shown(), both);
    world
        .join
        .no_slice(&slice("s-2", "catalog", http(), json!([])));
    assert_eq!(world.shown(), ["reviews uid-a-9080 http 10.0.0.1:9080 []"]);
}

#[test]
fn a_service_that_shares_only_the_pod_keeps_the_plain_ids() {
    let mut world = World::default();
    world.pod("a", json!({}));
    let port = |name: &str, port: u16| json!([{"name": name, "port": port, "protocol": "TCP"}]);
    let here = || json!([at("10.0.0.1", "a")]);
    world.slice(slice("s-1", "reviews", port("http", 9080), here()));
    world.slice(slice("s-2", "metrics", port("http", 9090), here()));
    assert_eq!(
        world.shown(),
        [
            "reviews uid-a-9080 http 10.0.0.1:9080 []",
            "metrics uid-a-9090 http 10.0.0.1:9090 []",
        ]
    );
}

#[test]
fn what_two_services_share_besides_pods_is_there_for_both() {
    let mut world = World::default();
    let outside = |name: &str, host: &str| {
        read(
            json!({"metadata": {"name": name}, "spec": {"type": "ExternalName",
            "externalName": host, "ports": [{"name": "https", "port": 443}]}}),
        )
    };
    for name in ["mail", "calendar", "zoo"] {
        world.join.service(outside(name, "out.example.com"));
    }
    for name in ["db", "cache"] {
        let endpoints = json!([{"addresses": ["10.9.9.9"]}]);
        world.slice(slice(&format!("s-{name}"), name, http(), endpoints));
    }
    assert_eq!(
        world.shown(),
        [
            "cache 10.9.9.9-9080 http 10.9.9.9:9080 []",
            "db 10.9.9.9-9080-db http 10.9.9.9:9080 []",
            "calendar out.example.com-443 https out.example.com:443 []",
            "mail out.example.com-443-mail https out.example.com:443 []",
            "zoo out.example.com-443-zoo https out.example.com:443 []",
        ]
    );
    // The first goes elsewhere: the next has the plain id, and nobody is lost.
    world.join.service(outside("calendar", "other.example.com"));
    world
        .join
        .no_slice(&slice("s-cache", "cache", http(), json!([])));
    assert_eq!(
        world.shown(),
        [
            "db 10.9.9.9-9080 http 10.9.9.9:9080 []",
            "calendar other.example.com-443 https other.example.com:443 []",
            "mail out.example.com-443 https out.example.com:443 []",
            "zoo out.example.com-443-zoo https out.example.com:443 []",
        ]
    );
}

#[test]
fn a_port_that_is_open_for_udp_as_well_is_one_for_tcp() {
    for order in [["TCP", "UDP"], ["UDP", "TCP"]] {
        let mut world = World::default();
        world.pod("a", json!({}));
        let ports = order.map(
            |protocol| json!({"name": protocol.to_lowercase(), "port": 53, "protocol": protocol}),
        );
        world.slice(slice(
            "s-1",
            "dns",
            json!(ports),
            json!([at("10.0.0.1", "a")]),
        ));
        assert_eq!(world.shown(), ["dns uid-a-53 tcp 10.0.0.1:53 []"]);
    }
}

#[test]
fn addresses_of_pods_that_may_not_be_seen_are_taken_without_labels() {
    let mut world = World::default();
    world.pod("a", json!({"version": "v1"}));
    world.slice(slice("s-1", "r", http(), json!([at("10.0.0.1", "a")])));
    world.settle();
    world.join.go_without_pods(true);
    world.slice(slice("s-1", "r", http(), json!([at("10.0.0.2", "b")])));
    assert_eq!(world.shown(), ["r uid-b-9080 http 10.0.0.2:9080 []"]);
    world.join.go_without_pods(false);
    assert_eq!(world.shown(), Vec::<String>::new());
    world.pod("b", json!({"version": "v2"}));
    assert_eq!(
        world.shown(),
        ["r uid-b-9080 http 10.0.0.2:9080 [version=v2]"]
    );
}

#[test]
fn slices_of_a_service_are_joined_and_a_pod_of_both_families_is_there_once() {
    for (families, wanted) in [
        (json!(["IPv4", "IPv6"]), "10.0.0.1:9080"),
        (json!(["IPv6", "IPv4"]), "[fd00::1]:9080"),
    ] {
        let mut world = World::default();
        world.pod("a", json!({})).pod("b", json!({}));
        world.join.service(read(
            json!({"metadata": {"name": "r"}, "spec": {"ipFamilies": families}}),
        ));
        world.slice(slice("r-4", "r", http(), json!([at("10.0.0.1", "a")])));
        world.slice(slice("r-6", "r", http(), json!([at("fd00::1", "a")])));
        world.slice(slice(
            "r-5",
            "r",
            http(),
            json!([at("10.0.0.2", "b"), at("10.0.0.1", "a")]),
        ));
        let shown = world.shown();
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0], format!("r uid-a-9080 http {wanted} []"));
    }
}

#[test]
fn addresses_without_a_pod_and_services_elsewhere_are_instances_too() {
    let mut world = World::default();
    world.slice(slice(
        "s-1",
        "db",
        http(),
        json!([{"addresses": ["10.9.9.9"]}]),
    ));
    world.slice(slice(
        "s-2",
        "db",
        http(),
        json!([{"addresses": ["fd00::9"]}]),
    ));
    let elsewhere = json!({"metadata": {"name": "mail", "labels": {"zone": "out"}},
        "spec": {"type": "ExternalName", "externalName": "mail.example.com.", "ports": [{"name": "https", "port": 443}]}});
    world.join.service(read(elsewhere));
    world.join.service(read(json!({"metadata": {"name": "bare"}, "spec": {"type": "ExternalName", "externalName": "b.example.com"}})));
    assert_eq!(
        world.shown(),
        [
            "db 10.9.9.9-9080 http 10.9.9.9:9080 []",
            "bare b.example.com-80 http b.example.com []",
            "db fd00::9-9080 http [fd00::9]:9080 []",
            "mail mail.example.com-443 https mail.example.com:443 [zone=out]",
        ]
    );
    world.join.services(Vec::new());
    assert_eq!(world.shown().len(), 2);
}

#[test]
fn annotations_are_metadata_as_far_as_they_fit() {
    let mut world = World::default();
    let mut noted = pod("a", json!({}));
    let note = |n: usize| (format!("note-{n}"), "x".repeat(300));
    let mut notes: BTreeMap<_, _> = (0..5).map(note).collect();
    notes.insert(
        "kubectl.kubernetes.io/last-applied-configuration".to_owned(),
        "{}".to_owned(),
    );
    notes.insert("quote".to_owned(), "\"".to_owned());
    noted.metadata.annotations = Some(notes);
    world.join.pod(noted);
    world.slice(slice("s-1", "r", http(), json!([at("10.0.0.1", "a")])));
    world.settle();
    let instance = world.known.values().next().unwrap();
    let metadata: Value =
        serde_json::from_str(instance.metadata.as_ref().unwrap().as_str()).unwrap();
    let names: Vec<_> = metadata.as_object().unwrap().keys().collect();
    assert_eq!(names, ["port", "note-0", "note-1", "note-2", "quote"]);
}

#[test]
fn a_list_anew_is_a_difference() {
    let mut world = World::default();
    world.pod("a", json!({})).pod("b", json!({}));
    world.slice(slice("r-1", "r", http(), json!([at("10.0.0.1", "a")])));
    world.slice(slice("q-1", "q", http(), json!([at("10.0.0.2", "b")])));
    assert_eq!(world.settle(), 2);
    let c = pod("c", json!({}));
    world.join.slices(vec![
        slice("r-1", "r", http(), json!([at("10.0.0.1", "a")])),
        slice("s-1", "s", http(), json!([at("10.0.0.3", "c")])),
    ]);
    world.join.pods(vec![pod("a", json!({})), c]);
    assert_eq!(world.settle(), 1);
    assert_eq!(
        world.shown(),
        [
            "r uid-a-9080 http 10.0.0.1:9080 []",
            "s uid-c-9080 http 10.0.0.3:9080 []"
        ]
    );
}
