//! A thousand edits of weights while there is as much load as the machine gives: no request
//! fails, and none goes where no rule that may have held sends it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use a8_tests::caller::{Caller, get};
use a8_tests::epochs::Epochs;
use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::instance::{Instance, Speaks};
use futures_util::future::{join_all, try_join_all};
use reqwest::Method;
use serde_json::{Value, json};

const EDITS: usize = 1_000;
/// What v1, v2 and v3 get, one after the other.
const WEIGHTS: [[f64; 3]; 6] = [
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.5, 0.5, 0.0],
    [0.0, 0.25, 0.75],
    [0.0, 0.0, 1.0],
    [0.9, 0.0, 0.1],
];
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

fn rule(weights: [f64; 3]) -> Value {
    let backends = VERSIONS.iter().zip(weights);
    let backends = backends.map(|(tag, weight)| json!({"tags": [tag], "weight": weight}));
    let backends: Vec<_> = backends.collect();
    json!({"rules": [{"id": "split", "destination": "hello", "route": {"backends": backends}}]})
}

fn of_weight(weights: [f64; 3]) -> Vec<&'static str> {
    let all = VERSIONS.into_iter().zip(weights);
    let with = all.filter(|(_, weight)| *weight > 0.0);
    with.map(|(version, _)| version).collect()
}

/// Registers two instances of each version, and two of another service.
async fn instances(fabric: &Fabric) -> Vec<Instance> {
    let mut all = Vec::new();
    for (service, version) in VERSIONS
        .map(|version| ("hello", version))
        .into_iter()
        .chain([("other", "v1")])
    {
        for _ in 0..2 {
            let instance = Instance::start(Speaks::One, service, version).await;
            let told = json!({
                "service_name": service, "tags": [version], "ttl": 600,
                "endpoint": {"type": "http", "value": instance.address.to_string()},
            });
            let reply = fabric.registry.post("/api/v1/instances", &told).await;
            reply.expect(201);
            all.push(instance);
        }
    }
    all
}

/// What is known to be true of all answers.
struct Judge {
    going: AtomicBool,
    epochs: Epochs<Vec<&'static str>>,
}

impl Judge {
    /// Sends `streams` requests at a time as long as there is to be load, and counts the
    /// answers by version.
    async fn load(
        &self,
        mut caller: Caller,
        service: &str,
        streams: usize,
    ) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let path = format!("/{service}/x");
        while self.going.load(Ordering::Relaxed) {
            let from = Instant::now();
            let mut begun = Vec::new();
            for _ in 0..streams {
                begun.push(caller.begin(get(&path)).await.unwrap());
            }
            for answer in try_join_all(begun).await.unwrap() {
                assert!(answer.status.is_success(), "{answer:?}");
                let (by, version) = answer.served_by().unwrap();
                assert_eq!(by, service, "misrouted: {answer:?}");
                let due = self.epochs.any_since(from, |all| all.contains(&version));
                assert!(due || service == "other", "{version} had no weight");
                *counts.entry(version.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

async fn edit(fabric: &Fabric, gateway: &Sidecar, judge: &Judge) {
    for change in 1..=EDITS {
        let weights = WEIGHTS[change % WEIGHTS.len()];
        judge.epochs.begin(of_weight(weights));
        let put = fabric.controller.call(Method::PUT, "/v1/rules");
        put.json(&rule(weights)).send().await.expect(200);
        // In bursts, and each burst is waited for.
        if change % 7 < 3 {
            fabric.in_effect(&[gateway], "rules").await;
            judge.epochs.settled();
        }
    }
    judge.going.store(false, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_edits_under_full_load_fail_and_misroute_no_request() {
    let fabric = Fabric::start().await;
    let (gateway, _) = fabric.gateway_to("nothing", "worker_threads: 2").await;
    let instances = instances(&fabric).await;
    let first = rule(WEIGHTS[0]);
    fabric
        .controller
        .post("/v1/rules", &first)
        .await
        .expect(201);
    fabric.settled(&[&gateway], instances.len()).await;
    let judge = Judge {
        going: AtomicBool::new(true),
        epochs: Epochs::new(of_weight(WEIGHTS[0])),
    };
    let to: SocketAddr = gateway.proxy["http://".len()..].parse().unwrap();
    let one = (0..6).map(|_| (Caller::one(to), "hello", 1));
    let two = (0..2).map(|_| (Caller::two(to), "hello", 8));
    let other = [(Caller::one(to), "other", 1)];
    let loads = one.chain(two).chain(other);
    let loads = loads.map(|(caller, service, streams)| judge.load(caller, service, streams));
    let (counts, ()) = tokio::join!(join_all(loads), edit(&fabric, &gateway, &judge));
    for count in &counts[..8] {
        // Each of these callers saw all of it.
        let seen: Vec<_> = count.keys().map(String::as_str).collect();
        assert_eq!(seen, VERSIONS, "{counts:?}");
    }
}
