//! While the store is away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::kit::{on_store, rule};

#[tokio::test(start_paused = true)]
async fn until_the_store_was_read_nothing_is_known() {
    let (controller, store) = on_store(true);
    for path in [
        "/v1/rules",
        "/v1/rules?watch=true",
        "/v1/rules/routes",
        "/v1/rules/actions/a",
    ] {
        let reply = controller.get(path).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, "1"),
            "{path}"
        );
        assert_eq!(reply.json()["error"], "not_loaded");
    }
    assert_eq!(controller.post(&rule("a", "s")).await.status, 503);
    assert_eq!(controller.get("/ready").await.status, 503);
    assert_eq!(controller.get("/health").await.status, 200);
    store.away.store(false, Ordering::SeqCst);
    while controller.get("/ready").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(controller.get("/v1/rules").await.json()["rules"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_reads_go_on_and_writes_say_so() {
    let (controller, store) = on_store(false);
    while !controller.health.is_ready() {
        tokio::task::yield_now().await;
    }
    assert_eq!(controller.post(&rule("a", "s")).await.status, 201);
    store.away.store(true, Ordering::SeqCst);
    for (method, body) in [
        ("POST", rule("b", "s")),
        ("PUT", rule("a", "t")),
        ("DELETE", Value::Null),
    ] {
        let reply = controller.call(method, "/v1/rules", &[], &body).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, "1"),
            "{method}"
        );
        assert_eq!(reply.json()["error"], "store_unavailable");
        assert!(!reply.text.contains("pulled out"), "{}", reply.text);
    }
    let list = controller.get("/v1/rules").await;
    assert_eq!(
        (list.status, &list.json()["rules"][0]["id"]),
        (200, &json!("a"))
    );
    let degraded = loop {
        let ready = controller.get("/ready").await;
        if ready.status != 200 {
            break ready;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let why = json!({"store": "the store is unavailable: pulled out"});
    assert_eq!(
        (degraded.status, degraded.json()),
        (503, json!({"status": "degraded", "waiting": why}))
    );
    assert_eq!(controller.get("/health").await.status, 200);
    store.away.store(false, Ordering::SeqCst);
    while controller.get("/ready").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
