//! Dry runs, and writes bound to a revision.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Database, ids, listed, route, rules, seeded};

crate::over_each_database!(a_dry_run_judges_and_stores_nothing writes_can_be_bound_to_a_revision every_write_can_be_rehearsed a_condition_holds_for_deletions_by_destination_and_for_rehearsals);

async fn a_dry_run_judges_and_stores_nothing(database: Database) {
    let controller = seeded(database).await;
    let before = controller.get("/v1/rules").await.json();
    let reply = controller
        .post("/v1/rules?dry_run=true", &rules(&[route("dry", "a")]))
        .await;
    assert!(
        reply.status.is_success() && reply.text.contains("dry"),
        "{reply:?}"
    );
    let bad = json!({"rules": [{"destination": "s"}]});
    controller
        .post("/v1/rules?dry_run=true", &bad)
        .await
        .refused(400, "");
    assert_eq!(controller.get("/v1/rules").await.json(), before);
}

async fn writes_can_be_bound_to_a_revision(database: Database) {
    let controller = seeded(database).await;
    let list = controller.get("/v1/rules").await.expect(200);
    let (revision, tag) = (
        list.json()["revision"].as_u64().unwrap(),
        list.header("etag").to_owned(),
    );
    // To write what is there already need not be a change.
    let write = |method: Method, path: &str, condition: &str| {
        controller
            .call(method, path)
            .header("if-match", condition)
            .json(&rules(&[route("r1", "c")]))
            .send()
    };
    write(Method::PUT, "/v1/rules", &format!("\"{revision}\""))
        .await
        .expect(200);
    for condition in [format!("\"{revision}\""), tag] {
        write(Method::PUT, "/v1/rules", &condition)
            .await
            .refused(412, "");
        write(Method::DELETE, "/v1/rules", &condition)
            .await
            .refused(412, "");
        let create = controller
            .call(Method::POST, "/v1/rules")
            .header("if-match", &condition);
        create
            .json(&rules(&[route("new", "a")]))
            .send()
            .await
            .refused(412, "");
    }
    let now = controller.get("/v1/rules").await.expect(200);
    assert_eq!(ids(&now.json()["rules"]), ["f1", "r1", "r2"]);
    write(Method::PUT, "/v1/rules", now.header("etag"))
        .await
        .expect(200);
    write(Method::PUT, "/v1/rules", "nonsense")
        .await
        .refused(400, "If-Match");
}

async fn every_write_can_be_rehearsed(database: Database) {
    let controller = seeded(database).await;
    let before = controller.get("/v1/rules").await.json();
    let call = |method: Method, path: &str, body: Option<Value>| {
        let call = controller.call(method, path);
        match body {
            Some(body) => call.json(&body).send(),
            None => call.send(),
        }
    };
    let changed = Some(rules(&[route("r1", "z")]));
    let put = call(Method::PUT, "/v1/rules?dry_run=true", changed).await;
    let put = put.expect(200).json();
    assert_eq!(
        (&put["rules"][0]["destination"], &put["revision"]),
        (&json!("z"), &before["revision"])
    );
    let gone = Some(rules(&[route("gone", "z")]));
    call(Method::PUT, "/v1/rules?dry_run=true", gone)
        .await
        .refused(404, "gone");
    for (path, ids) in [
        ("/v1/rules?dry_run=true", json!(["f1", "r1", "r2"])),
        ("/v1/rules?dry_run=1&tag=r2", json!(["r2"])),
        ("/v1/rules/routes/a?dry_run=true", json!(["r1"])),
        ("/v1/rules/actions/a?dry_run=true", json!(["f1"])),
        ("/v1/rules/actions/nobody?dry_run=true", json!([])),
    ] {
        let reply = call(Method::DELETE, path, None).await.expect(200);
        assert_eq!(reply.json(), json!({"ids": ids}), "{path}");
    }
    call(Method::DELETE, "/v1/rules?dry_run=true&id=gone", None)
        .await
        .refused(404, "gone");
    assert_eq!(controller.get("/v1/rules").await.json(), before);
}

async fn a_condition_holds_for_deletions_by_destination_and_for_rehearsals(database: Database) {
    let controller = seeded(database).await;
    let call = |method: Method, path: &str, condition: &str| {
        let call = controller.call(method, path);
        call.header("if-match", condition)
            .json(&rules(&[route("r1", "a")]))
            .send()
    };
    let now = controller.get("/v1/rules").await.header("etag").to_owned();
    for path in [
        "/v1/rules/routes/b",
        "/v1/rules/actions/a",
        "/v1/rules/routes/a?dry_run=true",
    ] {
        call(Method::DELETE, path, "\"0\"")
            .await
            .refused(412, "revision_mismatch");
        call(Method::DELETE, path, "nonsense")
            .await
            .refused(400, "If-Match");
    }
    for method in [Method::POST, Method::PUT] {
        let path = "/v1/rules?dry_run=true";
        call(method.clone(), path, "\"other-1\"")
            .await
            .refused(412, "revision_mismatch");
        call(method.clone(), path, "\"1\", \"2\"")
            .await
            .refused(400, "If-Match");
        call(method, path, &now).await.expect(200);
    }
    assert_eq!(controller.get("/v1/rules").await.header("etag"), now);
    let done = call(Method::DELETE, "/v1/rules/routes/b", &now)
        .await
        .expect(200);
    assert_ne!(done.header("etag"), now);
    call(Method::DELETE, "/v1/rules/actions/a", &now)
        .await
        .refused(412, "");
    call(Method::DELETE, "/v1/rules/actions/a", "*")
        .await
        .expect(200);
    assert_eq!(listed(&controller, "").await, ["r1"]);
}
