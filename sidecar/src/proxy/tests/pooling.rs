use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::proxy::AccessLog;
use crate::testkit::{Fabric, Origin, Scripted, instance, request};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn connections_to_instances_are_used_again() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for _ in 0..50 {
        assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_its_peer_closed_is_not_used_even_for_a_post() {
    // Every connection ends after one answer, without having said so.
    let origin = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(ANSWER).await;
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for i in 0..20 {
        let reply = request(proxy.address(), "POST /s/", &[]).await;
        assert_eq!(reply.status, 200, "request {i}: {}", reply.body);
        // Time for the end of the connection to come over the wire; even if it has not by
        // then the next request would only fail, not hang.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(origin.connections(), 20);
}

#[tokio::test]
async fn an_announced_end_is_respected() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok",
    ] {
        let origin = Scripted::new(move |mut stream, _| async move {
            let mut buffer = [0; 4096];
            while let Ok(1..) = stream.read(&mut buffer).await {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
        .await;
        let mut fabric = Fabric::new().await;
        fabric.put(instance("s", "v1", &origin.value())).await;
        let proxy = fabric.proxy(AccessLog::Off);
        for _ in 0..3 {
            assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
        }
        assert_eq!(origin.connections(), 3, "{answer}");
    }
}

#[tokio::test]
async fn changes_under_load_fail_no_request_and_misroute_none() {
    let v1 = Origin::echo("v1").await;
    let v2 = Origin::echo("v2").await;
    let other = Origin::echo("other").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &v1.value())).await;
    fabric.put(instance("s", "v2", &v2.value())).await;
    fabric.put(instance("t", "v1", &other.value())).await;
    let rule =
        |to: &str| format!("[{{id: r, destination: s, route: {{backends: [{{tags: [{to}]}}]}}}}]");
    fabric.rules(&rule("v1")).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let done = Arc::new(AtomicUsize::new(0));
    let mut load = JoinSet::new();
    for (line, allowed) in [("GET /s/", ["v1", "v2"]), ("GET /t/", ["other", "other"])] {
        for _ in 0..2 {
            let done = done.clone();
            load.spawn(async move {
                while done.load(Ordering::SeqCst) == 0 {
                    let reply = request(to, line, &[]).await;
                    assert_eq!(reply.status, 200, "{}", reply.body);
                    let name = reply.body.lines().next().unwrap_or_default();
                    assert!(allowed.contains(&name), "{name}");
                }
            });
        }
    }
    for i in 0..100 {
        let now = if i % 2 == 0 { "v2" } else { "v1" };
        fabric.rules(&rule(now)).await;
        // In effect at once, for whoever asks after it was taken in.
        let reply = request(to, "GET /s/", &[]).await;
        assert!(reply.body.starts_with(now), "{i}: {}", reply.body);
        // An instance that comes and goes elsewhere.
        let extra = instance("u", "", "127.0.0.1:1");
        if i % 2 == 0 {
            fabric.put(extra).await;
        } else {
            fabric.remove(&extra.id).await;
        }
    }
    done.store(1, Ordering::SeqCst);
    while let Some(ended) = load.join_next().await {
        ended.unwrap();
    }
    // The pools were carried over through a hundred tables.
    for origin in [&v1, &v2, &other] {
        assert!(origin.connections() <= 8, "{}", origin.connections());
    }
}
