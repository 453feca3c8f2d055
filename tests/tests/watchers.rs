//! Many watchers, and some that do not read.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;

use a8_tests::server::Server;
use a8_tests::watch::Watch;
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const WATCHERS: usize = 100;
const STALLED: usize = 100;
const CHANGES: usize = 150;

/// A rule of about 20 kB, so that what is kept for those who do not read would show.
fn rule(n: usize) -> Value {
    let backends: Vec<Value> = (0..16)
        .map(|b| {
            let filler = "x".repeat(300);
            let tags: Vec<String> = (0..4).map(|t| format!("{n}-{b}-{t}-{filler}")).collect();
            json!({"tags": tags})
        })
        .collect();
    json!({"id": format!("r{}", n % 7), "destination": "s", "route": {"backends": backends}})
}

async fn stall(controller: &Server) -> TcpStream {
    let address = controller.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /v1/rules?watch=true HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until the last change, and returns what it all added up to.
async fn follow(mut watch: Watch) -> BTreeMap<String, Value> {
    while watch.event().await["items"][0]["id"] != "last" {}
    watch.items
}

#[tokio::test]
async fn all_watchers_see_the_same_and_those_who_do_not_read_cost_little() {
    let controller = Server::controller(&[]).await;
    for n in 0..7 {
        let body = json!({"rules": [rule(n)]});
        controller.post("/v1/rules", &body).await.expect(201);
    }
    let _stalled = join_all((0..STALLED).map(|_| stall(&controller))).await;
    let watches = (0..WATCHERS).map(|_| controller.watch("/v1/rules?watch=true"));
    let watches = join_all(watches).await;
    let before = controller.process.resident();
    let change = async {
        for n in 7..CHANGES {
            let body = json!({"rules": [rule(n)]});
            controller.put("/v1/rules", &body).await.expect(200);
        }
        let mut last = rule(CHANGES);
        last["id"] = json!("last");
        let body = json!({"rules": [last]});
        controller.post("/v1/rules", &body).await.expect(201);
    };
    let follow = join_all(watches.into_iter().map(follow));
    let (states, ()) = tokio::join!(follow, change);
    for state in &states {
        assert_eq!(state.len(), 8);
        assert!(
            *state == states[0],
            "two watchers end with different states"
        );
    }
    // A queue for each who does not read would be 3 MiB, for all of them 300.
    let grown = controller.process.resident().saturating_sub(before) / (1024 * 1024);
    assert!(grown < 100, "{grown} MiB more");
}

/// Nobody may keep a server from ending: not who listens, and not who does not.
#[tokio::test]
async fn open_watches_do_not_hold_up_the_end() {
    let mut controller = Server::controller(&["--drain_timeout=1h"]).await;
    // More than the system's buffers of one connection take.
    for batch in 0..20 {
        let rules: Vec<Value> = (0..40)
            .map(|n| {
                let mut rule = rule(n);
                rule["id"] = json!(format!("{batch}-{n}"));
                rule
            })
            .collect();
        let body = json!({ "rules": rules });
        controller.post("/v1/rules", &body).await.expect(201);
    }
    let _stalled = stall(&controller).await;
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    watch.event().await;
    controller.process.signal(Signal::TERM);
    while watch.next().await.is_some() {}
    assert!(controller.process.exit().await.success());
}
