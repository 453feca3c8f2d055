//! What a rule says under `resilience`, with real processes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use a8_tests::fabric::{Fabric, Service, Sidecar};
use serde_json::{Value, json};

const HELLO: &str = "/helloworld/hello";

fn rule(resilience: &Value) -> Value {
    json!({"rules": [{
        "id": "r",
        "destination": "helloworld",
        "route": {"backends": [{"tags": ["version=v1"], "resilience": resilience}]},
    }]})
}

/// Two instances of one version, a gateway, and a rule with these bounds.
async fn two(resilience: &Value) -> (Fabric, [Service; 2], Sidecar) {
    let fabric = Fabric::start().await;
    let start = async |instance: &str| {
        let instance = format!("--instance={instance}");
        let flags = ["--service-version=v1", &instance];
        fabric.service("helloworld", "v1", &flags, false).await
    };
    let (one, other, gateway) = tokio::join!(start("one"), start("other"), fabric.gateway());
    let rules = rule(resilience);
    fabric
        .controller
        .post("/v1/rules", &rules)
        .await
        .expect(201);
    fabric.settled(&[&gateway], 2).await;
    (fabric, [one, other], gateway)
}

async fn cluster(gateway: &Sidecar) -> Value {
    let all = gateway.admin("/clusters").await;
    let clusters = all["clusters"].as_array().unwrap();
    clusters.iter().find(|c| c["rule"] == "r").unwrap().clone()
}

#[tokio::test]
async fn an_instance_that_died_while_its_sidecar_did_not_costs_a_few_requests() {
    let (_fabric, [mut dead, alive], gateway) = two(&json!({"consecutive_errors": 3})).await;
    dead.process.kill();
    dead.process.exit().await;
    let mut failed = 0;
    for _ in 0..60 {
        failed += usize::from(gateway.get(HELLO, None).await.is_err());
    }
    assert_eq!(failed, 3);
    let cluster = cluster(&gateway).await;
    for instance in cluster["instances"].as_array().unwrap() {
        let is_alive = alive.url.ends_with(instance["address"].as_str().unwrap());
        assert_eq!(
            instance.get("ejected_until").is_none(),
            is_alive,
            "{cluster}"
        );
    }
}

#[tokio::test]
async fn one_connection_serves_everybody_in_turn() {
    let (_fabric, _services, gateway) = two(&json!({"max_connections": 1})).await;
    for answer in gateway.get_many(HELLO, 300).await {
        answer.unwrap();
    }
    let cluster = cluster(&gateway).await;
    assert_eq!(
        (&cluster["waiting"], &cluster["in_flight"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(cluster["connections"], 1, "{cluster}");
}
