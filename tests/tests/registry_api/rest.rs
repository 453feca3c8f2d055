//! What operators and tools ask.

use a8_tests::server::Server;
use reqwest::Method;

#[tokio::test]
async fn the_rest_of_the_table() {
    let registry = Server::registry(&[]).await;
    registry.get("/uptime").await.expect(200);
    registry.get("/health").await.expect(200);
    registry.get("/ready").await.expect(200);
    let metrics = registry.get("/metrics").await.expect(200);
    assert!(metrics.text.contains("# TYPE"), "{}", metrics.text);
    let openapi = registry.get("/openapi.json").await.expect(200).json();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in [
        "/api/v1/instances",
        "/api/v1/instances/{id}",
        "/api/v1/instances/{id}/heartbeat",
        "/api/v1/services",
        "/api/v1/services/{name}",
        "/uptime",
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

#[tokio::test]
async fn request_ids_are_made_or_kept() {
    let registry = Server::registry(&[]).await;
    let made = registry.get("/health").await.expect(200);
    assert!(!made.header("x-request-id").is_empty());
    let kept = registry
        .call(Method::GET, "/health")
        .header("x-request-id", "abc-1")
        .send()
        .await;
    assert_eq!(kept.expect(200).header("x-request-id"), "abc-1");
}
