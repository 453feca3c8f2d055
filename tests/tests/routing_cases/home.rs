//! Where rules and instances come from.

use std::net::SocketAddr;
use std::path::Path;

use a8_common::kubernetes::routing_rule;
use a8_common::rule;
use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::kubernetes;
use serde_json::{Map, Value, json};

use crate::case::Case;

pub(crate) trait Home {
    async fn start() -> Self;

    /// Adds an instance that carries `tags`, which are separated by commas.
    async fn instance(&self, service: &str, tags: &str, at: SocketAddr);

    /// Writes rules, once.
    async fn rules(&self, rules: &Value);

    /// Starts the caller's sidecar. What was written before is in force when it is there.
    async fn sidecar(&self, case: &Case, log: &Path) -> Sidecar;
}

/// A registry and a controller.
pub(crate) struct Servers(Fabric);

impl Home for Servers {
    async fn start() -> Self {
        Self(Fabric::start().await)
    }

    async fn instance(&self, service: &str, tags: &str, at: SocketAddr) {
        let tags: Vec<_> = tags.split(',').collect();
        let instance = json!({
            "service_name": service, "tags": tags, "ttl": 600,
            "endpoint": {"type": "http", "value": at.to_string()},
        });
        let made = self.0.registry.post("/api/v1/instances", &instance).await;
        made.expect(201);
    }

    async fn rules(&self, rules: &Value) {
        let made = self.0.controller.post("/v1/rules", rules).await;
        made.expect(201);
    }

    async fn sidecar(&self, case: &Case, log: &Path) -> Sidecar {
        let service = caller(case).to_string();
        self.0
            .caller(&service, &format!("access_log: {}", log.display()))
            .await
    }
}

/// A cluster.
pub(crate) struct Cluster(kubernetes::Cluster);

impl Home for Cluster {
    async fn start() -> Self {
        Self(kubernetes::Cluster::start().await)
    }

    async fn instance(&self, service: &str, tags: &str, at: SocketAddr) {
        let labels: Map<String, Value> = tags.split(',').map(label).collect();
        self.0.pod_at(service, &labels.into(), at);
    }

    async fn rules(&self, rules: &Value) {
        for rule in rule::parse_value(rules.clone()).unwrap() {
            let object = routing_rule::object(&rule).unwrap();
            self.0.rule(rule.id().as_ref(), &object.data["spec"]);
        }
    }

    async fn sidecar(&self, case: &Case, log: &Path) -> Sidecar {
        let token = self.0.sidecar_token();
        let more = json!({"service": caller(case), "proxy_config": {"access_log": log}});
        self.0.sidecar_as(&token, more).await
    }
}

fn caller(case: &Case) -> Value {
    json!({"name": case.caller, "tags": case.caller_tags})
}

/// A tag as a label: the value of a tag that has none is empty.
fn label(tag: &str) -> (String, Value) {
    let (key, value) = tag.split_once('=').unwrap_or((tag, ""));
    (key.to_owned(), value.into())
}
