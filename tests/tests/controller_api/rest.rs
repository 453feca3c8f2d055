//! Bounds, and what operators and tools ask.

use reqwest::Method;

use crate::{Database, listed, seeded, started};

crate::over_each_database!(bounds_of_body_type_and_method the_rest_of_the_table);

async fn bounds_of_body_type_and_method(database: Database) {
    let controller = seeded(database).await;
    let post = |body: String| controller.call(Method::POST, "/v1/rules").raw(body).send();
    post(format!("{{\"rules\":\"{}\"}}", "x".repeat(1 << 20)))
        .await
        .refused(413, "");
    for body in [
        "",
        "{",
        "null",
        "7",
        "{\"rules\":7}",
        "{\"rules\":[null]}",
        "{\"rules\":[],\"more\":1}",
        &"[".repeat(100_000),
    ] {
        post(body.to_owned()).await.refused(400, "");
    }
    let text = controller
        .call(Method::POST, "/v1/rules")
        .header("content-type", "text/plain");
    text.send().await.refused(415, "json");
    controller
        .call(Method::PATCH, "/v1/rules")
        .send()
        .await
        .refused(405, "");
    controller.get("/v1/nothing").await.refused(404, "");
    assert_eq!(listed(&controller, "").await.len(), 3);
}

async fn the_rest_of_the_table(database: Database) {
    let controller = started(database).await;
    controller.get("/health").await.expect(200);
    controller.get("/ready").await.expect(200);
    assert!(
        controller
            .get("/metrics")
            .await
            .expect(200)
            .text
            .contains("# TYPE")
    );
    let openapi = controller.get("/openapi.json").await.expect(200).json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/v1/rules",
        "/v1/rules/routes",
        "/v1/rules/actions",
        "/v1/rules/routes/{destination}",
        "/v1/rules/actions/{destination}",
        "/health",
        "/ready",
        "/metrics",
    ] {
        assert!(
            openapi["paths"][path].is_object(),
            "{path} is not in the OpenAPI document"
        );
    }
}
