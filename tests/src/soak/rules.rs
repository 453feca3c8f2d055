//! Rules that are created, edited and deleted, several times a second.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::ground::Ground;
use crate::fabric::{Fabric, Sidecar};

const PACE: Duration = Duration::from_millis(80);
/// So many rules with names of their own are there at a time.
const EXTRAS: usize = 6;
/// The weights of v1 that follow each other.
const WEIGHTS: [f64; 5] = [1.0, 0.0, 0.5, 0.9, 0.0];

/// Those that are there from the beginning.
pub(super) async fn create(fabric: &Fabric) {
    let rules = json!({"rules": [
        split(0.5),
        actions(0),
        {"id": "mortal", "destination": "mortal", "route": {
            "backends": [{"tags": ["v1"]}], "http_req_retries": 3,
        }},
        {"id": "faulty", "destination": "faulty", "route": {
            // It must not be left alone.
            "backends": [{"tags": ["v1"], "resilience": {"consecutive_errors": 1_000_000}}],
            "http_req_timeout": 0.3,
        }},
    ]});
    fabric
        .controller
        .post("/v1/rules", &rules)
        .await
        .expect(201);
}

/// Makes so many changes to a rule that nobody is routed by.
pub(super) async fn fill(fabric: &Fabric, changes: u32) {
    let mut rules = json!({"rules": [extra("fill")]});
    fabric
        .controller
        .post("/v1/rules", &rules)
        .await
        .expect(201);
    for change in 0..changes {
        rules["rules"][0]["priority"] = json!(change % 100);
        fabric.controller.put("/v1/rules", &rules).await.expect(200);
    }
    fabric.controller.delete("/v1/rules").await.expect(200);
}

/// Changes them until there is to be no more load.
pub(super) async fn churn(fabric: &Fabric, gateway: &Sidecar, ground: &Ground) {
    let mut extras = VecDeque::new();
    let mut change = 0;
    while ground.going.load(Ordering::Relaxed) {
        let share = WEIGHTS[change % WEIGHTS.len()];
        ground.weights.begin(of_weight(share));
        put(fabric, &split(share)).await;
        // Some follow each other without a look at what has become of them.
        if change % 3 > 0 {
            fabric.in_effect(&[gateway], "rules").await;
            ground.weights.settled();
        }
        match change % 4 {
            0 => {
                let id = format!("extra-{change}");
                let rules = json!({"rules": [extra(&id)]});
                fabric
                    .controller
                    .post("/v1/rules", &rules)
                    .await
                    .expect(201);
                extras.push_back(id);
            }
            1 if extras.len() > EXTRAS => {
                if let Some(id) = extras.pop_front() {
                    let path = format!("/v1/rules?id={id}");
                    fabric.controller.delete(&path).await.expect(200);
                }
            }
            2 => put(fabric, &actions(change)).await,
            _ => {}
        }
        change += 1;
        tokio::time::sleep(PACE).await;
    }
}

async fn put(fabric: &Fabric, rule: &Value) {
    let call = fabric.controller.call(Method::PUT, "/v1/rules");
    call.json(&json!({"rules": [rule]}))
        .send()
        .await
        .expect(200);
}

/// The versions to which a share of v1 gives a weight.
fn of_weight(share: f64) -> Vec<&'static str> {
    let v1 = (share > 0.0).then_some("v1");
    let v2 = (share < 1.0).then_some("v2");
    v1.into_iter().chain(v2).collect()
}

fn split(share: f64) -> Value {
    json!({"id": "split", "destination": "steady", "route": {"backends": [
        {"tags": ["v1"], "weight": share},
        {"tags": ["v2"]},
    ]}})
}

/// One that holds for a few requests, has a backend of its own, and counts in metrics.
fn extra(id: &str) -> Value {
    json!({
        "id": id, "destination": "steady", "priority": 10,
        "match": {"headers": {"x-soak": "on"}},
        "route": {"backends": [{"tags": ["v1"], "lb_type": "least_request"}]},
    })
}

/// Faults that cost nobody an answer.
fn actions(change: usize) -> Value {
    json!({"id": "actions", "destination": "mortal", "actions": [
        {"action": "delay", "duration": 0.005, "probability": 0.1},
        {"action": "trace", "log_key": "change", "log_value": change.to_string()},
    ]})
}
