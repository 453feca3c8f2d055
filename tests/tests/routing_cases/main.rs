//! Every routing case of the rule engine, with real requests through the real sidecar: which
//! instance answers, how often, what is injected, and what the log says of it. The same where
//! rules and instances come from a controller and a registry, and where they are RoutingRules,
//! EndpointSlices and pods of a cluster.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::time::Instant;

use a8_tests::instance::{Instance, Speaks};
use a8_tests::{fabric::Sidecar, server, wait};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::Value;

mod case;
mod home;

use case::{Answers, Case};
use home::{Cluster, Home, Servers};

/// How many cases are tried at the same time.
const CASES_AT_ONCE: usize = 4;
/// How many requests of a case are made at the same time.
const AT_ONCE: usize = 100;
/// How often that is done; once where requests are held up for seconds.
const ROUNDS: usize = 4;

#[tokio::test]
async fn requests_meet_what_the_cases_say_with_registry_and_controller() {
    all::<Servers>().await;
}

#[tokio::test]
async fn requests_meet_what_the_cases_say_in_a_cluster() {
    all::<Cluster>().await;
}

async fn all<H: Home>() {
    let cases = case::all();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let checks = stream::iter(cases).map(|case| async move { check::<H>(&case).await });
    checks
        .buffer_unordered(CASES_AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

async fn check<H: Home>(case: &Case) {
    let home = H::start().await;
    let mut instances = Vec::new();
    for (service, tags) in case.known() {
        let instance = Instance::start(Speaks::One, &service, &tags).await;
        home.instance(&service, &tags, instance.address).await;
        instances.push(instance);
    }
    home.rules(&case.rules).await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let sidecar = home.sidecar(case, &log).await;
    let client = server::client();
    let mut answers = Answers::new();
    let rounds = if case.delayed() { 1 } else { ROUNDS };
    let began = Instant::now();
    for _ in 0..rounds {
        for answer in join_all((0..AT_ONCE).map(|_| ask(&client, &sidecar, case))).await {
            *answers.entry(answer).or_default() += 1;
        }
    }
    let took = began.elapsed();
    let lines = lines(&log, rounds * AT_ONCE).await;
    case.answered_as_expected(&answers);
    case.held_up_as_expected(took);
    lines.iter().for_each(|line| case.told_as_expected(line));
}

async fn ask(client: &Client, sidecar: &Sidecar, case: &Case) -> (u16, String) {
    let mut request = client.get(format!("{}/{}/", sidecar.proxy, case.to));
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap().replacen('/', " ", 1))
}

/// The lines of the access log, once it has as many as there were requests.
async fn lines(log: &std::path::Path, count: usize) -> Vec<Value> {
    wait::until(&format!("{count} lines"), || async {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
        match lines {
            Ok(lines) if lines.len() == count => Ok(lines),
            other => Err(format!("{:?}", other.map(|lines| lines.len()))),
        }
    })
    .await
}
