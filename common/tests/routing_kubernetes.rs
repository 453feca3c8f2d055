//! Every case of `cases/routing.yaml` with its rules as objects of a cluster: what a sidecar
//! reads there is what it would read anywhere else, so it decides the same.
#![cfg(feature = "kubernetes")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use a8_apiserver::{ApiServer, Options};
use a8_common::config::Secret;
use a8_common::kubernetes::{Cluster, Config, routing_rule};
use a8_common::rule::{self, Rule};
use a8_common::source;
use a8_common::task::{Stop, Tasks};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rules: Value,
}

#[tokio::test]
async fn rules_are_the_same_as_objects() {
    let cases: Cases = serde_saphyr::from_str(include_str!("cases/routing.yaml")).unwrap();
    let api = ApiServer::start(Options::default()).await;
    api.apply_yaml(&routing_rule::crd_yaml().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, api.ca_pem()).unwrap();
    let mut compared = 0;
    for (at, case) in cases.cases.iter().enumerate() {
        let namespace = format!("case-{at}");
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        let written = rule::parse_value(case.rules.clone()).unwrap();
        for rule in &written {
            assert!(routing_rule::is_name(rule.id()), "{}", rule.id());
            let mut object = routing_rule::object(rule).unwrap();
            object.metadata.namespace = Some(namespace.clone());
            api.put(serde_json::to_value(&object).unwrap());
        }
        let config = Config {
            url: Some(api.url().parse().unwrap()),
            token: Some(Secret::new(api.admin_token())),
            ca_cert_file: Some(ca.clone()),
            namespace: Some(namespace),
        };
        let cluster = Cluster::open(&config).await.unwrap();
        let tasks = Tasks::new(Stop::new());
        let rules = source::kubernetes::rules(cluster);
        let mut feed = source::start("rules", rules, &tasks);
        let loaded = tokio::time::timeout(Duration::from_secs(60), feed.view.loaded()).await;
        assert_eq!(loaded, Ok(true), "{}", case.name);
        let read = feed.view.snapshot();
        let read: BTreeMap<_, &Rule> = read
            .items
            .iter()
            .map(|(id, r)| (id.clone(), &**r))
            .collect();
        let written: BTreeMap<_, &Rule> = written.iter().map(|r| (r.id().clone(), r)).collect();
        assert_eq!(read, written, "{}", case.name);
        compared += read.len();
        tasks.finish(Duration::from_secs(10)).await;
    }
    assert!(compared > 20, "{compared}");
}
