//! Every row of the registry's API table, over the real binary, with wrong inputs too.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod lifetime;
mod listing;
mod register;
mod rest;
mod watch;

use a8_tests::server::Server;
use serde_json::{Value, json};

fn instance(service: &str, address: &str) -> Value {
    json!({"service_name": service, "endpoint": {"type": "http", "value": address}, "ttl": 60, "tags": ["version=v1", "zone=eu"]})
}

async fn register(registry: &Server, body: &Value) -> String {
    let reply = registry.post("/api/v1/instances", body).await.expect(201);
    reply.json()["id"].as_str().unwrap().to_owned()
}
