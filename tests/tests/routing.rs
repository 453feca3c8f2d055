//! What goes through real sidecars: shares, changes under load, and a control plane that dies.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use a8_tests::fabric::{Fabric, Service, Sidecar, load};
use a8_tests::wait;
use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

const HELLO: &str = "/helloworld/hello";

/// helloworld in two versions behind a gateway.
struct Hello {
    fabric: Fabric,
    v1: Service,
    v2: Service,
    gateway: Sidecar,
}

async fn hello(fabric: Fabric) -> Hello {
    let flags = |version: &'static str| {
        [
            format!("--service-version={version}"),
            format!("--instance={version}"),
        ]
    };
    let start = async |version: &'static str| {
        let flags = flags(version);
        let flags = flags.each_ref().map(String::as_str);
        fabric.service("helloworld", version, &flags, false).await
    };
    let (v1, v2, gateway) = tokio::join!(start("v1"), start("v2"), fabric.gateway());
    fabric.settled(&[&gateway], 2).await;
    Hello {
        fabric,
        v1,
        v2,
        gateway,
    }
}

/// Sends `share` of the requests to v2 and the others to v1.
fn split(share: f64) -> Value {
    let backend = |version: &str, weight: f64| json!({"tags": [format!("version={version}")], "weight": weight});
    json!({"rules": [{
        "id": "split",
        "destination": "helloworld",
        "route": {"backends": [backend("v1", 1.0 - share), backend("v2", share)]},
    }]})
}

fn of_version(answers: &[Result<String, String>], version: &str) -> usize {
    let version = format!("version: {version},");
    let says = |answer: &&Result<String, String>| {
        answer.as_ref().is_ok_and(|text| text.contains(&version))
    };
    answers.iter().filter(says).count()
}

#[track_caller]
fn none_failed(answers: &[Result<String, String>]) {
    let failed: Vec<_> = answers.iter().filter_map(|a| a.as_ref().err()).collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed: {:?}",
        failed.len(),
        answers.len(),
        failed[0]
    );
}

#[tokio::test]
async fn a_quarter_is_a_quarter_over_ten_thousand_requests() {
    let hello = hello(Fabric::start().await).await;
    let controller = &hello.fabric.controller;
    controller.post("/v1/rules", &split(0.75)).await.expect(201);
    hello.fabric.settled(&[&hello.gateway], 2).await;
    // A fair draw misses by 1.5 points once in 1,900 runs, and twice in a row never.
    let mut shares = Vec::new();
    while shares.len() < 2 {
        let answers = hello.gateway.get_many(HELLO, 10_000).await;
        none_failed(&answers);
        let share = of_version(&answers, "v2") as f64 / 10_000.0;
        if (share - 0.75).abs() < 0.015 {
            return;
        }
        shares.push(share);
    }
    panic!("{shares:?}");
}

#[tokio::test]
async fn routing_goes_on_while_registry_and_controller_are_killed() {
    let mut hello = hello(Fabric::start_durable().await).await;
    hello
        .fabric
        .controller
        .post("/v1/rules", &split(1.0))
        .await
        .expect(201);
    hello.fabric.settled(&[&hello.gateway], 2).await;
    let going = AtomicBool::new(true);
    let Hello {
        fabric, gateway, ..
    } = &mut hello;
    let kill = async {
        for _ in 0..4 {
            fabric.registry.process.kill();
            fabric.controller.process.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            fabric.registry.resume().await;
            fabric.controller.resume().await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        going.store(false, Ordering::Relaxed);
    };
    let loads = join_all((0..4).map(|_| load(gateway, HELLO, &going)));
    let (answers, ()) = tokio::join!(loads, kill);
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    none_failed(&answers);
    assert!(answers.len() > 100, "the test did nothing");
    assert_eq!(
        of_version(&answers, "v2"),
        answers.len(),
        "the rule has held all the time"
    );
    // And the gateway follows again.
    let call = fabric.controller.call(Method::PUT, "/v1/rules");
    call.json(&split(0.0)).send().await.expect(200);
    fabric.settled(&[gateway], 2).await;
    let answers = gateway.get_many(HELLO, 20).await;
    assert_eq!(of_version(&answers, "v1"), 20, "{answers:?}");
}

/// A registry without a disk comes back knowing nobody: that is no reason to send nobody
/// anything, and those who are alive register again.
#[tokio::test]
async fn a_registry_that_lost_its_memory_costs_no_request() {
    let mut hello = hello(Fabric::start().await).await;
    let going = AtomicBool::new(true);
    let Hello {
        fabric, gateway, ..
    } = &mut hello;
    let restart = async {
        fabric.registry.restart().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        going.store(false, Ordering::Relaxed);
    };
    let loads = join_all((0..4).map(|_| load(gateway, HELLO, &going)));
    let (answers, ()) = tokio::join!(loads, restart);
    none_failed(&answers.into_iter().flatten().collect::<Vec<_>>());
    fabric.settled(&[gateway], 2).await;
    let answers = gateway.get_many(HELLO, 50).await;
    none_failed(&answers);
    assert!(of_version(&answers, "v1") > 0 && of_version(&answers, "v2") > 0);
}

#[tokio::test]
async fn an_instance_that_is_told_to_stop_leaves_without_a_failed_request() {
    let hello = hello(Fabric::start().await).await;
    let going = AtomicBool::new(true);
    let Hello {
        fabric,
        v1,
        v2,
        gateway,
    } = &hello;
    let stop = async {
        v2.sidecar.process.signal(Signal::TERM);
        fabric.settled(&[gateway], 1).await;
        wait::until("requests to go to v1 alone", || async {
            let answers = gateway.get_many(HELLO, 20).await;
            match of_version(&answers, "v1") {
                20 => Ok(()),
                count => Err(format!("{count} of 20")),
            }
        })
        .await;
        v2.process.signal(Signal::TERM);
        going.store(false, Ordering::Relaxed);
    };
    let loads = join_all((0..4).map(|_| load(gateway, HELLO, &going)));
    let (answers, ()) = tokio::join!(loads, stop);
    none_failed(&answers.into_iter().flatten().collect::<Vec<_>>());
    none_failed(&v1.sidecar.get_many(HELLO, 5).await);
}

#[tokio::test]
async fn what_cannot_be_routed_says_so() {
    let hello = hello(Fabric::start().await).await;
    let gateway = &hello.gateway;
    let unknown = gateway.get("/nobody/x", None).await.unwrap_err();
    assert!(
        unknown.starts_with("404") && unknown.contains("nobody"),
        "{unknown}"
    );
    let rule = json!({"rules": [{"id": "v9", "destination": "helloworld", "route": {"backends": [{"tags": ["version=v9"]}]}}]});
    hello
        .fabric
        .controller
        .post("/v1/rules", &rule)
        .await
        .expect(201);
    hello.fabric.settled(&[gateway], 2).await;
    let none = gateway.get(HELLO, None).await.unwrap_err();
    assert!(
        none.starts_with("503") && none.contains("version=v9"),
        "{none}"
    );
}
