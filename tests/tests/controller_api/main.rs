//! Every row of the controller's API table, over the real binary, with wrong inputs too.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod conditions;
mod read;
mod rest;
mod watch;
mod write;

use a8_tests::server::Server;
use serde_json::{Value, json};

fn route(id: &str, destination: &str) -> Value {
    json!({"id": id, "destination": destination, "tags": ["t", id], "route": {"backends": [{"tags": ["version=v1"]}]}})
}

fn action(id: &str, destination: &str) -> Value {
    json!({"id": id, "destination": destination, "actions": [{"action": "delay", "duration": 7}]})
}

fn rules(rules: &[Value]) -> Value {
    json!({ "rules": rules })
}

async fn seeded() -> Server {
    let controller = Server::controller(&[]).await;
    let body = rules(&[route("r1", "a"), route("r2", "b"), action("f1", "a")]);
    let reply = controller.post("/v1/rules", &body).await.expect(201);
    assert_eq!(reply.json(), json!({"ids": ["r1", "r2", "f1"]}));
    controller
}

fn ids(list: &Value) -> Vec<String> {
    let of = |rule: &Value| rule["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = list.as_array().unwrap().iter().map(of).collect();
    ids.sort();
    ids
}

async fn listed(controller: &Server, query: &str) -> Vec<String> {
    let reply = controller
        .get(&format!("/v1/rules{query}"))
        .await
        .expect(200);
    ids(&reply.json()["rules"])
}
