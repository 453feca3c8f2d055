//! Watching.

use std::time::Duration;

use a8_tests::watch::Watch;
use serde_json::json;

use crate::{Database, ids, route, rules, seeded};

crate::over_each_database!(a_watch_tells_every_change_and_goes_on_where_it_was);

async fn a_watch_tells_every_change_and_goes_on_where_it_was(database: Database) {
    let controller = seeded(database).await;
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
    told(&mut watch, "UPSERT", database).await;
    assert!(["n1", "n2"].iter().all(|id| watch.items.contains_key(*id)));
    controller
        .delete("/v1/rules?destination=c")
        .await
        .expect(200);
    told(&mut watch, "REMOVE", database).await;
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

/// A change of two rules: one line where it is one transaction, two where it is two objects.
async fn told(watch: &mut Watch, what: &str, database: Database) {
    let [lines, each] = match database {
        Database::Memory => [1, 2],
        Database::Kubernetes => [2, 1],
    };
    for _ in 0..lines {
        let event = watch.event().await;
        let members = ["items", "ids"].map(|member| event[member].as_array().map_or(0, Vec::len));
        assert_eq!(
            (event["type"].as_str(), members.iter().sum()),
            (Some(what), each)
        );
    }
}
