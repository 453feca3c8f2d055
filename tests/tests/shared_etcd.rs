//! Registries and controllers over one etcd: restarted under load, and with the etcd away.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use a8_tests::etcd::{Cluster, MEMBERS};
use a8_tests::fabric::{Fabric, load};
use a8_tests::server::{Server, client};
use a8_tests::wait;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

fn instance(n: usize) -> Value {
    json!({"service_name": "s", "ttl": 10, "endpoint": {"type": "http", "value": format!("h{n}:80")}})
}

fn rule(id: &str) -> Value {
    json!({"rules": [{"id": id, "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}}]})
}

/// How many requests of a kind a server has answered since it was started.
async fn answered(server: &Server, method: &str) -> u64 {
    let text = client().get(format!("{}/metrics", server.url)).send().await;
    let text = text.unwrap().text().await.unwrap();
    let method = format!("method=\"{method}\"");
    let of_it = |line: &&str| line.starts_with("a8_http_requests_total{") && line.contains(&method);
    let counts = text
        .lines()
        .filter(of_it)
        .map(|line| line.rsplit(' ').next().unwrap());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

async fn heard(registries: &[Server; 2]) -> u64 {
    answered(&registries[0], "PUT").await + answered(&registries[1], "PUT").await
}

#[tokio::test]
async fn registries_are_restarted_in_turn_without_a_failed_call_or_a_new_registration() {
    let etcd = Cluster::start().await;
    let store = format!("--store_address={}", etcd.addresses());
    let args = ["--store=etcd", &store, "--default_ttl=10s"];
    let mut registries = [Server::registry(&args).await, Server::registry(&args).await];
    let database = format!("--database_host={}", etcd.addresses());
    let controller = Server::controller(&["--database_type=etcd", &database]).await;
    // A third one is only looked at: sidecars are told of the two that are restarted.
    let mut fabric = Fabric::of(Server::registry(&args).await, controller);
    fabric.registry_urls = Some(
        registries
            .each_ref()
            .map(|registry| registry.url.clone())
            .join(","),
    );
    let _v1 = fabric
        .service("helloworld", "v1", &["--service-version=v1"], false)
        .await;
    let _v2 = fabric
        .service("helloworld", "v2", &["--service-version=v2"], false)
        .await;
    let gateway = fabric.gateway().await;
    fabric.settled(&[&gateway], 2).await;

    let going = AtomicBool::new(true);
    let restart = async {
        for at in 0..registries.len() {
            let registry = &mut registries[at];
            registry.process.signal(Signal::TERM);
            registry.process.exit().await;
            registry.resume().await;
            // Until both services have been heard of again, by whichever they speak to now.
            let before = heard(&registries).await;
            wait::until("heartbeats", || async {
                let more = heard(&registries).await - before;
                (more >= 4).then_some(()).ok_or(format!("{more} so far"))
            })
            .await;
        }
        going.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = tokio::join!(load(&gateway, "/helloworld/hello", &going), restart);
    let failed: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {failed:?}",
        failed.len(),
        answers.len()
    );
    assert!(answers.len() > 100, "the test did nothing");
    for registry in &registries {
        assert_eq!(
            answered(registry, "POST").await,
            0,
            "somebody registered again"
        );
    }
}

#[tokio::test]
async fn an_etcd_that_is_away_is_told_and_comes_back() {
    let mut etcd = Cluster::start().await;
    let store = format!("--store_address={}", etcd.addresses());
    let registry = Server::registry(&["--store=etcd", &store]).await;
    let database = format!("--database_host={}", etcd.addresses());
    let controller = Server::controller(&["--database_type=etcd", &database]).await;
    let id = registry
        .post("/api/v1/instances", &instance(1))
        .await
        .expect(201)
        .json()["id"]
        .clone();
    let heartbeat = format!("/api/v1/instances/{}/heartbeat", id.as_str().unwrap());
    controller
        .post("/v1/rules", &rule("first"))
        .await
        .expect(201);
    let mut rules = controller.watch("/v1/rules?watch=true").await;
    assert_eq!(rules.event().await["type"], "RESET");

    for member in 0..MEMBERS {
        etcd.kill(member);
    }
    let refused = registry
        .post("/api/v1/instances", &instance(2))
        .await
        .refused(503, "store");
    assert_eq!(refused.header("retry-after"), "1");
    controller
        .post("/v1/rules", &rule("second"))
        .await
        .refused(503, "store")
        .header("retry-after");
    registry
        .put(&heartbeat, &json!({}))
        .await
        .refused(503, "store");
    for server in [&registry, &controller] {
        wait::until("/ready to say why", || async {
            let ready = server.get("/ready").await;
            match ready.status == 503 && ready.text.contains("etcd is away") {
                true => Ok(()),
                false => Err(ready.text),
            }
        })
        .await;
    }
    let list = registry.get("/api/v1/instances").await.expect(200).json();
    assert_eq!(list["instances"][0]["id"], id, "reads go on");
    assert!(
        rules.quiet_for(Duration::from_millis(500)).await,
        "watches stay"
    );

    for member in 0..MEMBERS {
        etcd.resume(member);
    }
    for server in [&registry, &controller] {
        wait::until("etcd to be back", || async {
            let ready = server.get("/ready").await;
            (ready.status == 200).then_some(()).ok_or(ready.text)
        })
        .await;
    }
    registry.put(&heartbeat, &json!({})).await.expect(200);
    controller
        .post("/v1/rules", &rule("third"))
        .await
        .expect(201);
    // It goes on where it was. The second rule may have been stored after all.
    loop {
        let event = rules.event().await;
        assert_eq!(event["type"], "UPSERT", "{event}");
        if event["items"][0]["id"] == "third" {
            break;
        }
    }
}

#[tokio::test]
async fn capacity_and_preconditions_hold_across_servers() {
    const CAPACITY: usize = 20;
    let etcd = Cluster::start().await;
    let store = format!("--store_address={}", etcd.addresses());
    let capacity = format!("--namespace_capacity={CAPACITY}");
    let args = ["--store=etcd", &store, &capacity];
    let registries = [Server::registry(&args).await, Server::registry(&args).await];
    let newcomers = (0..3 * CAPACITY).map(|n| {
        let registry = &registries[n % 2];
        async move {
            registry
                .post("/api/v1/instances", &instance(n))
                .await
                .status
                .as_u16()
        }
    });
    let mut statuses = futures_util::future::join_all(newcomers).await;
    statuses.sort_unstable();
    let accepted = statuses.iter().filter(|status| **status == 201).count();
    assert_eq!(accepted, CAPACITY, "{statuses:?}");
    assert!(
        statuses
            .iter()
            .all(|status| [201, 403, 503].contains(status)),
        "{statuses:?}"
    );
    // The same instance at both is one.
    let list = registries[1]
        .get("/api/v1/instances")
        .await
        .expect(200)
        .json();
    let value = list["instances"][0]["endpoint"]["value"].as_str().unwrap();
    let n = value.trim_start_matches('h').trim_end_matches(":80");
    let known = instance(n.parse().unwrap());
    for registry in &registries {
        let again = registry
            .post("/api/v1/instances", &known)
            .await
            .expect(201)
            .json();
        assert_eq!(again["id"], list["instances"][0]["id"]);
    }

    let database = format!("--database_host={}", etcd.addresses());
    let args = ["--database_type=etcd", &database];
    let [one, other] = [
        Server::controller(&args).await,
        Server::controller(&args).await,
    ];
    one.post("/v1/rules", &rule("r")).await.expect(201);
    // The other one may be a moment behind; a write at it is not.
    let seen = one
        .get("/v1/rules")
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let put = |server: &Server, tag: &str| {
        server
            .call(Method::PUT, "/v1/rules")
            .header("if-match", tag)
            .json(&rule("r"))
            .send()
    };
    put(&other, &seen).await.expect(200);
    put(&one, &seen).await.refused(412, "revision_mismatch");
    other.delete("/v1/rules?id=r").await.expect(200);
    one.put("/v1/rules", &rule("r")).await.refused(404, "r");
}
