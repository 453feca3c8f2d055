//! Watching.

use std::time::Duration;

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::json;

use crate::{instance, register};

#[tokio::test]
async fn a_watch_tells_every_change_and_goes_on_where_it_was() {
    let registry = Server::registry(&[]).await;
    let first = register(&registry, &instance("a", "h:1")).await;
    let mut watch = registry.watch("/api/v1/instances?watch=true").await;
    assert_eq!(watch.event().await["type"], "RESET");
    assert!(watch.items.contains_key(&first));
    let second = register(&registry, &instance("b", "h:2")).await;
    let event = watch.event().await;
    assert_eq!(
        (event["type"].as_str(), &event["items"][0]["id"]),
        (Some("UPSERT"), &json!(second))
    );
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    registry
        .call(Method::PUT, &format!("/api/v1/instances/{first}/heartbeat"))
        .send()
        .await
        .expect(200);
    assert!(
        watch.quiet_for(Duration::from_millis(300)).await,
        "a heartbeat alone is no event"
    );
    registry
        .delete(&format!("/api/v1/instances/{first}"))
        .await
        .expect(200);
    let event = watch.event().await;
    assert_eq!(
        (event["type"].as_str(), &event["ids"]),
        (Some("REMOVE"), &json!([first]))
    );

    let resumed = format!("/api/v1/instances?watch=true&epoch={epoch}&revision={revision}");
    assert_eq!(
        registry.watch(&resumed).await.event().await["type"],
        "REMOVE"
    );
    let unknown = format!("/api/v1/instances?watch=true&epoch=other&revision={revision}");
    assert_eq!(
        registry.watch(&unknown).await.event().await["type"],
        "RESET"
    );

    let mut filtered = registry
        .watch("/api/v1/instances?watch=true&service_name=c")
        .await;
    assert_eq!(filtered.event().await["items"], json!([]));
    register(&registry, &instance("d", "h:3")).await;
    let third = register(&registry, &instance("c", "h:4")).await;
    assert_eq!(filtered.event().await["items"][0]["id"], json!(third));
    registry
        .get("/api/v1/instances?watch=true&revision=x&epoch=e")
        .await
        .refused(400, "revision");
}

#[tokio::test]
async fn a_watch_is_bookmarked_and_ends_with_the_server() {
    let registry = Server::registry(&[]).await;
    let mut watch = registry.watch("/api/v1/instances?watch=true").await;
    assert_eq!(watch.next().await.unwrap()["type"], "RESET");
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    registry.process.signal(rustix::process::Signal::TERM);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_shows_what_was_asked_for() {
    let registry = Server::registry(&[]).await;
    let mut body = instance("a", "h:1");
    body["status"] = json!("STARTING");
    let id = register(&registry, &body).await;
    let mut all = registry
        .watch("/api/v1/instances?watch=true&status=ALL&fields=status")
        .await;
    let reset = all.event().await;
    let shown =
        json!([{"id": id, "endpoint": {"type": "http", "value": "h:1"}, "status": "STARTING"}]);
    assert_eq!(reset["items"], shown);
    // Without a filter, what does not take requests is not told of.
    let mut usual = registry.watch("/api/v1/instances?watch=true").await;
    assert_eq!(usual.event().await["items"], json!([]));
    body["status"] = json!("UP");
    register(&registry, &body).await;
    assert_eq!(all.event().await["items"][0]["status"], "UP");
    assert_eq!(usual.event().await["items"][0]["id"], json!(id));
    body["status"] = json!("OUT_OF_SERVICE");
    register(&registry, &body).await;
    assert_eq!(usual.event().await["ids"], json!([id]));
}

#[tokio::test]
async fn a_store_in_memory_begins_another_epoch_with_each_start() {
    let mut registry = Server::registry(&[]).await;
    register(&registry, &instance("a", "h:1")).await;
    let mut watch = registry.watch("/api/v1/instances?watch=true").await;
    watch.event().await;
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    registry.restart().await;
    let path = format!("/api/v1/instances?watch=true&epoch={epoch}&revision={revision}");
    let mut watch = registry.watch(&path).await;
    let event = watch.event().await;
    assert_eq!(
        (&event["type"], &event["items"]),
        (&json!("RESET"), &json!([]))
    );
    assert_ne!(watch.epoch, epoch);
}
