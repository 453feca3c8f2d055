//! Every row of the controller's API table, over the real binary, with wrong inputs too.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod conditions;
mod read;
mod rest;
mod watch;
mod write;

use std::ops::Deref;

use a8_tests::kubernetes::Cluster;
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

/// Where the controller keeps its rules.
#[derive(Clone, Copy)]
enum Database {
    Memory,
    Kubernetes,
}

/// Runs each test once for each database.
macro_rules! over_each_database {
    ($($test:ident)*) => {
        $(mod $test {
            #[tokio::test]
            async fn in_memory() {
                super::$test(crate::Database::Memory).await;
            }

            #[tokio::test]
            async fn on_kubernetes() {
                super::$test(crate::Database::Kubernetes).await;
            }
        })*
    };
}
use over_each_database;

/// A controller, and the cluster that it has its rules in.
struct Controller {
    server: Server,
    _cluster: Option<Cluster>,
}

impl Deref for Controller {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

async fn on_store(args: &[&str]) -> Controller {
    Controller {
        server: Server::controller(args).await,
        _cluster: None,
    }
}

async fn started(database: Database) -> Controller {
    match database {
        Database::Memory => on_store(&[]).await,
        Database::Kubernetes => {
            let cluster = Cluster::start().await;
            let args = cluster.controller_args();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            Controller {
                server: Server::controller(&args).await,
                _cluster: Some(cluster),
            }
        }
    }
}

async fn seeded(database: Database) -> Controller {
    let controller = started(database).await;
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
