//! A service of three is restarted one by one, each instance an application that its sidecar
//! supervises, while it is called through another sidecar: no call fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use a8_tests::fabric::{Fabric, Sidecar, load};
use a8_tests::ports;
use a8_tests::process::binary;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;

const CALLERS: usize = 8;
const ROUNDS: usize = 2;
/// So many calls there are at least.
const CALLS: usize = 5_000;

/// An instance: a sidecar with its application.
async fn instance(fabric: &Fabric) -> Sidecar {
    let port = ports::free();
    let application = binary("helloworld").display().to_string();
    let cmd = json!([application, "--host=127.0.0.1", format!("--port={port}")]);
    let more = format!(
        "register: true\nendpoint: {{host: 127.0.0.1, port: {port}, type: http}}\n\
         healthchecks: ['http://127.0.0.1:{port}/health']\n\
         commands: [{{cmd: {cmd}, on_exit: terminate}}]\n"
    );
    fabric
        .sidecar_at(ports::free(), "helloworld", "v1", &more)
        .await
}

#[tokio::test]
async fn no_call_fails_while_a_service_is_restarted_one_by_one() {
    let fabric = Fabric::start().await;
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(instance(&fabric).await);
    }
    let gateway = fabric.gateway().await;
    fabric.settled(&[&gateway], 3).await;
    let (going, gateway) = (AtomicBool::new(true), &gateway);
    let callers = join_all((0..CALLERS).map(|_| load(gateway, "/helloworld/hello", &going)));
    let restarts = async {
        for at in 0..ROUNDS * instances.len() {
            let at = at % instances.len();
            let next = instance(&fabric).await;
            fabric.settled(&[gateway], 4).await;
            let mut before = std::mem::replace(&mut instances[at], next);
            before.process.signal(Signal::TERM);
            // helloworld ends in order when it is told to.
            assert_eq!(before.process.exit().await.code(), Some(0));
            fabric.settled(&[gateway], 3).await;
        }
        going.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = tokio::join!(callers, restarts);
    let answers: Vec<_> = answers.into_iter().flatten().collect();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
    assert!(
        failed.is_empty(),
        "{} of {}: {failed:?}",
        failed.len(),
        answers.len()
    );
    assert!(answers.len() >= CALLS, "{}", answers.len());
}
