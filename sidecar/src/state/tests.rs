use std::sync::Arc;
use std::time::Duration;

use a8_common::model::ServiceName;
use serde_json::json;

use super::*;
use crate::proxy::Upstream;
use crate::testkit::{Fabric, instance, with};

fn service(fabric: &Fabric, name: &str) -> Option<Arc<Backend>> {
    let name = ServiceName::new(name).unwrap();
    fabric.routes.load().services.get(&name).cloned()
}

fn members(fabric: &Fabric, name: &str) -> Vec<String> {
    let Some(backend) = service(fabric, name) else {
        return vec![];
    };
    let usable = &backend.members().usable;
    usable.iter().map(|u| u.label.to_string()).collect()
}

fn rule_ids(fabric: &Fabric) -> Vec<String> {
    let table = fabric.routes.load().table.clone();
    let mut ids: Vec<_> = table.rules().map(|r| r.id().to_string()).collect();
    ids.sort();
    ids
}

fn backend_of(fabric: &Fabric, rule: &str) -> Arc<Backend> {
    let table = fabric.routes.load().table.clone();
    let found = table.backends().find(|(r, ..)| r.id().as_str() == rule);
    found.unwrap().2.clone()
}

const RULES: &str = "[{id: a, destination: s, route: {backends: [{tags: [v1]}]}}, \
                      {id: b, destination: t, route: {backends: [{tags: [v1]}]}}]";

#[tokio::test(start_paused = true)]
async fn only_instances_that_are_listed_and_carry_all_tags_take_requests() {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1,eu", "h:1")).await;
    fabric.put(instance("s", "v2", "h:2")).await;
    fabric.put(with("s", "v1", "h:3", "STARTING", "http")).await;
    fabric.put(with("s", "v1", "h:4", "warm", "http")).await;
    fabric.put(with("s", "v1", "a:1", "UP", "tcp")).await;
    fabric.put(with("s", "v1", "h:5", "UP", "https")).await;
    fabric.put(with("s", "v1", "h:7", "UP", "udp")).await;
    fabric
        .put(with("s", "v1", "h:6", "OUT_OF_SERVICE", "http"))
        .await;
    fabric.rules(RULES).await;
    // Streams go to tcp, too, which comes after those that take requests.
    assert_eq!(members(&fabric, "s"), ["h:1", "h:2", "h:4", "h:5", "a:1"]);
    let v1 = backend_of(&fabric, "a").members();
    let labels = |some: &[Arc<Upstream>]| {
        let all = some.iter().map(|u| u.label.to_string());
        all.collect::<Vec<_>>()
    };
    assert_eq!(labels(&v1.usable), ["h:1", "h:4", "h:5", "a:1"]);
    assert_eq!(labels(v1.http()), ["h:1", "h:4", "h:5"]);
    assert_eq!(v1.unusable, 1);
    // A rule makes its destination known, though nobody is there.
    assert!(service(&fabric, "t").is_some());
    assert!(service(&fabric, "u").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_change_leaves_alone_what_it_does_not_name() {
    let mut fabric = Fabric::new().await;
    for port in 1..=3 {
        fabric.put(instance("s", "v1", &format!("h:{port}"))).await;
        fabric.put(instance("t", "v1", &format!("t:{port}"))).await;
    }
    fabric.rules(RULES).await;
    let (a, b) = (backend_of(&fabric, "a"), backend_of(&fabric, "b"));
    let of_b = b.members();
    let first = a.members().usable[0].clone();
    // An instance of another service, other tags, a heartbeat: same connections.
    fabric.put(instance("s", "v1,new", "h:1")).await;
    assert!(Arc::ptr_eq(&first, &a.members().usable[0]));
    assert!(Arc::ptr_eq(&of_b, &b.members()), "not even touched");
    // Other weights, another priority: the same backend with its balancer and counts.
    fabric
        .rules(&RULES.replace("{id: a,", "{id: a, priority: 7,"))
        .await;
    assert!(Arc::ptr_eq(&a, &backend_of(&fabric, "a")));
    assert!(Arc::ptr_eq(&b, &backend_of(&fabric, "b")));
    // Other bounds: the same, too, and they count.
    let bounds = "tags: [v1], resilience: {max_requests: 7}";
    fabric.rules(&RULES.replacen("tags: [v1]", bounds, 1)).await;
    assert!(Arc::ptr_eq(&a, &backend_of(&fabric, "a")));
    assert_eq!(a.resilience().requests(), 7);
    assert_eq!(b.resilience().requests(), 1024);
    // A new endpoint is another peer, and the old one is let go.
    let moved = Instance {
        endpoint: instance("s", "", "h:9").endpoint,
        ..instance("s", "v1", "h:1")
    };
    fabric.put(moved).await;
    assert!(first.is_gone());
    assert_eq!(members(&fabric, "s"), ["h:9", "h:2", "h:3"]);
}

#[tokio::test(start_paused = true)]
async fn another_protocol_is_another_peer_and_other_metadata_is_not() {
    let described = |metadata: serde_json::Value| Instance {
        metadata: serde_json::from_value(metadata).unwrap(),
        ..instance("s", "v1", "h:1")
    };
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", "h:1")).await;
    let one = service(&fabric, "s").unwrap().members().usable[0].clone();
    fabric.put(described(json!({"zone": "a"}))).await;
    assert!(!one.is_gone());
    fabric
        .put(described(json!({"zone": "a", "protocol": "h2"})))
        .await;
    assert!(one.is_gone());
    let two = service(&fabric, "s").unwrap().members().usable[0].clone();
    fabric.put(described(json!({"protocol": "h2"}))).await;
    assert!(!two.is_gone());
    fabric.put(instance("s", "v1", "h:1")).await;
    assert!(two.is_gone());
}

#[tokio::test(start_paused = true)]
async fn each_backend_of_a_rule_has_its_own_bounds() {
    let mut fabric = Fabric::new().await;
    fabric
        .rules(
            "[{id: a, destination: s, route: {backends: [\
             {tags: [v1], weight: 0.2, resilience: {max_requests: 1}}, \
             {tags: [v2], weight: 0.2, resilience: {max_requests: 2}}, \
             {tags: [v1], weight: 0.2, resilience: {max_requests: 3}}, {tags: [v1]}]}}]",
        )
        .await;
    let table = fabric.routes.load().table.clone();
    let bounds: Vec<_> = table
        .backends()
        .map(|(.., backend)| backend.resilience().requests())
        .collect();
    assert_eq!(bounds, [1, 2, 3, 1024]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_within_an_epoch_counts_at_once() {
    let mut fabric = Fabric::new().await;
    let gone = instance("s", "v1", "h:1");
    fabric.put(gone.clone()).await;
    fabric.remove(&gone.id).await;
    assert!(service(&fabric, "s").is_none());
    assert_eq!(fabric.metrics.connections("s").get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_never_empties_a_service_at_once() {
    let mut fabric = Fabric::new().await;
    for port in 1..=2 {
        fabric.put(instance("s", "v1", &format!("h:{port}"))).await;
    }
    let kept = service(&fabric, "s").unwrap().members().usable[0].clone();
    // The registry lost everything.
    fabric.restart(vec![], "[]").await;
    assert_eq!(members(&fabric, "s"), ["h:1", "h:2"]);
    assert_eq!(fabric.status.borrow().instances.held, 2);
    // One comes back, a new one comes, the other never does.
    tokio::time::sleep(Duration::from_secs(10)).await;
    fabric.put(instance("s", "v1", "h:1")).await;
    fabric.put(instance("s", "v1", "h:3")).await;
    assert_eq!(members(&fabric, "s"), ["h:1", "h:2", "h:3"]);
    assert!(Arc::ptr_eq(
        &kept,
        &service(&fabric, "s").unwrap().members().usable[0]
    ));
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(members(&fabric, "s"), ["h:1", "h:3"]);
    assert_eq!(fabric.status.borrow().instances.held, 0);
}

#[tokio::test(start_paused = true)]
async fn lost_rules_are_held_until_somebody_writes_new_ones() {
    let mut fabric = Fabric::new().await;
    fabric.rules(RULES).await;
    fabric
        .restart(
            vec![],
            "[{id: c, destination: s, route: {backends: [{tags: [v2]}]}}]",
        )
        .await;
    assert_eq!(
        rule_ids(&fabric),
        ["b", "c"],
        "s is being written anew, t is not"
    );
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(rule_ids(&fabric), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn routing_begins_when_both_have_loaded() {
    let mut fabric = Fabric::silent(Patience::default());
    fabric.load_instances(vec![instance("s", "v1", "h:1")]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!fabric.routes.load().loaded && !fabric.status.borrow().routing);
    fabric.load_rules(RULES);
    fabric.status.wait_for(|s| s.routing).await.unwrap();
    assert_eq!(members(&fabric, "s"), ["h:1"]);
}

#[tokio::test(start_paused = true)]
async fn routing_begins_without_a_rule_source_that_never_answers() {
    let mut fabric = Fabric::silent(Patience::default());
    fabric.load_instances(vec![instance("s", "v1", "h:1")]);
    fabric.status.wait_for(|s| s.routing).await.unwrap();
    assert_eq!(members(&fabric, "s"), ["h:1"]);
    // And takes in what comes later.
    fabric.load(vec![instance("s", "v1", "h:2")], RULES).await;
    assert_eq!(members(&fabric, "s"), ["h:2"]);
}

#[tokio::test(start_paused = true)]
async fn without_instances_there_is_nothing_to_say() {
    let mut fabric = Fabric::silent(Patience::default());
    fabric.load_rules(RULES);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!fabric.routes.load().loaded && !fabric.status.borrow().routing);
    // Both have loaded then, however late.
    fabric.load_instances(vec![instance("s", "v1", "h:1")]);
    fabric.status.wait_for(|s| s.routing).await.unwrap();
    assert_eq!(members(&fabric, "s"), ["h:1"]);
}
