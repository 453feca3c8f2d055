mod kit;
mod outage;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use self::kit::{Database, ready, rule};

/// Runs each test once for each database.
macro_rules! over_each_database {
    ($($test:ident)*) => {
        $(mod $test {
            use super::Database;

            #[tokio::test]
            async fn in_memory() {
                super::$test(Database::Memory).await;
            }

            #[cfg(feature = "kubernetes")]
            #[tokio::test]
            async fn on_kubernetes() {
                super::$test(Database::Kubernetes).await;
            }
        })*
    };
}

over_each_database!(
    every_form_of_document_is_taken_and_none_at_all_refused
    an_id_that_is_there_is_replaced_and_one_given_twice_refused
    the_answer_to_a_write_names_the_state_that_it_made
    a_dry_run_tells_what_would_be
    a_parameter_that_means_nothing_is_refused_by_name
    rules_are_grouped_in_the_order_in_which_they_are_tried
    a_watch_ends_when_the_server_stops
);

async fn every_form_of_document_is_taken_and_none_at_all_refused(database: Database) {
    let controller = ready(database).await;
    for (body, id) in [
        (rule("single", "s"), "single"),
        (json!([rule("bare", "s")]), "bare"),
        (json!({"rules": [rule("set", "s")], "revision": 4}), "set"),
    ] {
        let reply = controller.post(&body).await;
        assert_eq!((reply.status, reply.json()), (201, json!({"ids": [id]})));
    }
    for body in [json!([]), json!({"rules": []})] {
        let reply = controller.post(&body).await;
        assert_eq!(
            (reply.status, &reply.json()["error"]),
            (400, &json!("no_rules_provided"))
        );
    }
}

async fn an_id_that_is_there_is_replaced_and_one_given_twice_refused(database: Database) {
    let controller = ready(database).await;
    controller.post(&rule("a", "s")).await;
    let again = controller.post(&rule("a", "t")).await;
    assert_eq!((again.status, again.json()), (201, json!({"ids": ["a"]})));
    let list = controller.get("/v1/rules").await.json();
    assert_eq!(list["rules"], json!([rule("a", "t")]));
    let twice = controller
        .post(&json!([rule("b", "s"), rule("b", "t")]))
        .await;
    assert_eq!(twice.status, 400);
    let details = json!([{"rule": 1, "path": "id", "reason": "is the id of rules[0] too"}]);
    assert_eq!(twice.json()["details"], details);
}

async fn the_answer_to_a_write_names_the_state_that_it_made(database: Database) {
    let controller = ready(database).await;
    let made = controller.post(&rule("a", "s")).await;
    let list = controller.get("/v1/rules").await;
    assert_eq!(made.header("etag"), list.header("etag"));
    let tag = made.header("etag");
    for path in [
        "/v1/rules",
        "/v1/rules/routes",
        "/v1/rules/actions",
        "/v1/rules/routes/s",
    ] {
        let known = controller
            .call("GET", path, &[("if-none-match", tag)], &Value::Null)
            .await;
        assert_eq!((known.status, known.text.as_str()), (304, ""), "{path}");
        assert_eq!(known.header("etag"), tag);
    }
    let condition = [("if-match", tag)];
    let path = "/v1/rules/routes/s";
    let gone = controller
        .call("DELETE", path, &condition, &Value::Null)
        .await;
    assert_eq!(gone.status, 200);
    assert_ne!(gone.header("etag"), tag);
    let late = controller
        .call("DELETE", path, &condition, &Value::Null)
        .await;
    assert_eq!(
        (late.status, &late.json()["error"]),
        (412, &json!("revision_mismatch"))
    );
}

async fn a_dry_run_tells_what_would_be(database: Database) {
    let controller = ready(database).await;
    controller
        .post(&json!([rule("a", "s"), rule("b", "t")]))
        .await;
    let before = controller.get("/v1/rules").await.json();
    let dry = |method, path, body: Value| {
        let controller = &controller;
        async move { controller.call(method, path, &[], &body).await }
    };
    let put = dry("PUT", "/v1/rules?dry_run=true", rule("a", "u")).await;
    assert_eq!(
        put.json(),
        json!({"rules": [rule("a", "u")], "revision": before["revision"]})
    );
    let unknown = dry("PUT", "/v1/rules?dry_run=true", rule("c", "u")).await;
    assert_eq!(
        (unknown.status, unknown.text.contains("\"unknown_rule\"")),
        (404, true)
    );
    for (path, ids) in [
        ("/v1/rules?dry_run=true", json!(["a", "b"])),
        ("/v1/rules?dry_run=1&destination=t", json!(["b"])),
        ("/v1/rules/routes/s?dry_run=true", json!(["a"])),
        ("/v1/rules/actions/s?dry_run=true", json!([])),
    ] {
        let reply = dry("DELETE", path, Value::Null).await;
        assert_eq!(
            (reply.status, reply.json()),
            (200, json!({"ids": ids})),
            "{path}"
        );
    }
    assert_eq!(controller.get("/v1/rules").await.json(), before);
}

async fn a_parameter_that_means_nothing_is_refused_by_name(database: Database) {
    let controller = ready(database).await;
    for (method, path, named) in [
        ("GET", "/v1/rules?dry_run=true", "dry_run"),
        ("GET", "/v1/rules?watch=perhaps", "watch"),
        ("GET", "/v1/rules?watch=true&epoch=e&revision=x", "revision"),
        ("GET", "/v1/rules/routes?watch=true", "watch"),
        ("GET", "/v1/rules/actions/s?tag=x", "tag"),
        ("POST", "/v1/rules?destination=s", "destination"),
        ("DELETE", "/v1/rules?destinations=s", "destinations"),
        ("DELETE", "/v1/rules/routes/s?dry_run=maybe", "dry_run"),
    ] {
        let body = match method {
            "POST" => rule("a", "s"),
            _ => Value::Null,
        };
        let reply = controller.call(method, path, &[], &body).await;
        assert_eq!(reply.status, 400, "{method} {path}: {}", reply.text);
        let text = reply.json()["description"].to_string();
        assert!(text.contains(named), "{path}: {text}");
    }
}

async fn rules_are_grouped_in_the_order_in_which_they_are_tried(database: Database) {
    let controller = ready(database).await;
    let mut first = rule("z", "s");
    first["priority"] = json!(1);
    controller
        .post(&json!([rule("a", "s"), first, rule("b", "t")]))
        .await;
    let grouped = controller.get("/v1/rules/routes").await.json();
    assert_eq!(
        grouped,
        json!({"services": {"s": [first, rule("a", "s")], "t": [rule("b", "t")]}})
    );
    let none = controller.get("/v1/rules/actions").await.json();
    assert_eq!(none, json!({"services": {}}));
    assert_eq!(
        controller.delete("/v1/rules/routes/s%20x").await.status,
        200
    );
    assert_eq!(
        controller.get("/v1/rules").await.json()["rules"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

async fn a_watch_ends_when_the_server_stops(database: Database) {
    let controller = ready(database).await;
    let request = Request::get("/v1/rules?watch=true")
        .body(Body::empty())
        .unwrap();
    let response = controller.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    controller.stop.fire();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.is_empty() || text.ends_with(b"\n"));
}
