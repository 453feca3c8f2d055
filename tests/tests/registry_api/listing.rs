//! Lists of instances and services, and their state.

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::json;

use crate::{instance, register};

#[tokio::test]
async fn listings_filter_and_pick_fields() {
    let registry = Server::registry(&[]).await;
    for (service, address, status, tags) in [
        ("a", "h:1", "up", json!(["v1", "eu"])),
        ("a", "h:2", "STARTING", json!(["v2"])),
        ("b", "h:3", "Out_Of_Service", json!([])),
        ("b", "h:4", "busy", json!(["v1"])),
    ] {
        let body = json!({"service_name": service, "endpoint": {"type": "tcp", "value": address}, "status": status, "tags": tags});
        register(&registry, &body).await;
    }
    let count = async |query: &str| {
        let list = registry
            .get(&format!("/api/v1/instances{query}"))
            .await
            .expect(200)
            .json();
        list["instances"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("?status=ALL").await, 4);
    assert_eq!(count("?status=starting").await, 1);
    assert_eq!(count("?status=busy").await, 1);
    assert_eq!(count("?service_name=a&status=ALL").await, 2);
    assert_eq!(count("?tags=v1").await, 2);
    assert_eq!(count("?tags=v1,eu").await, 1);
    assert_eq!(count("?tags=none").await, 0);
    let picked = registry
        .get("/api/v1/instances?fields=service_name,tags&service_name=a")
        .await
        .expect(200)
        .json();
    let members: Vec<&String> = picked["instances"][0].as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 4, "id and endpoint always come: {picked}");
    assert!(
        picked["instances"][0]["id"].is_string() && picked["instances"][0]["endpoint"].is_object()
    );
    registry
        .get("/api/v1/instances?fields=colour")
        .await
        .refused(400, "colour");
    registry
        .get("/api/v1/instances?colour=red")
        .await
        .refused(400, "colour");
    let services = registry.get("/api/v1/services").await.expect(200).json();
    assert_eq!(services["services"], json!(["a", "b"]));
    let service = registry.get("/api/v1/services/a").await.expect(200).json();
    assert_eq!(service["service_name"], "a");
    assert!(service["instances"].is_array());
    registry.get("/api/v1/services/c").await.refused(404, "c");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let registry = Server::registry(&[]).await;
    for (query, named) in [
        ("colour=red", "colour"),
        ("=", "known are"),
        ("service_name=", "service_name"),
        ("service_name=a%2Fb", "service_name"),
        ("status=", "status"),
        ("status=a%20b", "status"),
        ("fields=id,colour", "colour"),
        ("watch=perhaps", "watch"),
        ("watch", "watch"),
        ("revision=-1", "revision"),
        ("watch=true&epoch=e&revision=1.5", "revision"),
        ("watch=true&colour=red", "colour"),
        ("watch=true&fields=colour", "colour"),
    ] {
        let path = format!("/api/v1/instances?{query}");
        registry.get(&path).await.refused(400, named);
    }
    let long = "x".repeat(65);
    let path = format!("/api/v1/instances?service_name={long}");
    registry.get(&path).await.refused(400, "service_name");
}

#[tokio::test]
async fn every_plain_answer_has_an_etag_and_is_answered_304() {
    let registry = Server::registry(&[]).await;
    let id = register(&registry, &instance("s", "h:1")).await;
    let own = format!("/api/v1/instances/{id}");
    let paths = [
        "/api/v1/instances",
        "/api/v1/instances?service_name=s&fields=tags",
        "/api/v1/services",
        "/api/v1/services/s",
        &own,
    ];
    let ask = |path: &str, tag: &str| {
        let call = registry.call(Method::GET, path);
        call.header("if-none-match", tag).send()
    };
    let mut tags = Vec::new();
    for path in paths {
        let tag = registry
            .get(path)
            .await
            .expect(200)
            .header("etag")
            .to_owned();
        let known = ask(path, &tag).await.expect(304);
        assert_eq!(
            (known.text.as_str(), known.header("etag")),
            ("", tag.as_str())
        );
        ask(path, &format!("\"x\", W/{tag}")).await.expect(304);
        ask(path, "\"x\"").await.expect(200);
        tags.push(tag);
    }
    register(&registry, &instance("s", "h:2")).await;
    for (path, tag) in paths.iter().zip(tags) {
        assert_ne!(
            ask(path, &tag).await.expect(200).header("etag"),
            tag,
            "{path}"
        );
    }
    registry
        .get("/api/v1/services/other")
        .await
        .refused(404, "other");
}
