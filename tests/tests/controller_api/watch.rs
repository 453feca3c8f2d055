//! Watching.

use std::time::Duration;

use serde_json::json;

use crate::{ids, route, rules, seeded};

#[tokio::test]
async fn a_watch_tells_one_transaction_a_line_and_goes_on_where_it_was() {
    let controller = seeded().await;
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    let reset = watch.event().await;
    assert_eq!(
        (reset["type"].as_str(), ids(&reset["items"]).len()),
        (Some("RESET"), 3)
    );
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    controller
        .post("/v1/rules", &rules(&[route("n1", "c"), route("n2", "c")]))
        .await
        .expect(201);
    let event = watch.event().await;
    assert_eq!(
        (event["type"].as_str(), ids(&event["items"])),
        (Some("UPSERT"), vec!["n1".into(), "n2".into()])
    );
    controller
        .delete("/v1/rules?destination=c")
        .await
        .expect(200);
    let event = watch.event().await;
    assert_eq!(
        (
            event["type"].as_str(),
            event["ids"].as_array().unwrap().len()
        ),
        (Some("REMOVE"), 2)
    );
    let list = controller.get("/v1/rules").await.json();
    assert_eq!(list["revision"], watch.revision);
    assert_eq!(
        ids(&list["rules"]),
        watch.items.keys().cloned().collect::<Vec<_>>()
    );

    let resumed = format!("/v1/rules?watch=true&epoch={epoch}&revision={revision}");
    assert_eq!(
        controller.watch(&resumed).await.event().await["type"],
        "UPSERT"
    );
    let mut filtered = controller.watch("/v1/rules?watch=true&destination=z").await;
    assert_eq!(filtered.event().await["items"], json!([]));
    controller
        .post("/v1/rules", &rules(&[route("x", "y")]))
        .await
        .expect(201);
    assert!(filtered.quiet_for(Duration::from_millis(200)).await);
    controller
        .post("/v1/rules", &rules(&[route("w", "z")]))
        .await
        .expect(201);
    assert_eq!(ids(&filtered.event().await["items"]), ["w"]);
    controller
        .put("/v1/rules", &rules(&[route("w", "y")]))
        .await
        .expect(200);
    assert_eq!(
        filtered.event().await["ids"],
        json!(["w"]),
        "it left the filter's sight"
    );
}
