//! Registering: what is taken, what is refused, and what is answered.

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{instance, register};

#[tokio::test]
async fn registering_answers_id_ttl_and_absolute_links() {
    let registry = Server::registry(&[]).await;
    let reply = registry
        .post("/api/v1/instances", &instance("reviews", "10.0.0.1:9080"))
        .await
        .expect(201);
    let body = reply.json();
    let id = body["id"].as_str().unwrap();
    assert!(
        id.len() == 16
            && id
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
        "{id}"
    );
    assert_eq!(body["ttl"], 60);
    let own = format!("{}/api/v1/instances/{id}", registry.url);
    assert_eq!(body["links"]["self"], own);
    assert_eq!(body["links"]["heartbeat"], format!("{own}/heartbeat"));
    assert_eq!(reply.header("location"), own);
}

#[tokio::test]
async fn the_same_endpoint_keeps_its_id_and_replaces_what_was_there() {
    let registry = Server::registry(&[]).await;
    let mut body = instance("reviews", "10.0.0.1:9080");
    let id = register(&registry, &body).await;
    body["tags"] = json!(["version=v2"]);
    assert_eq!(register(&registry, &body).await, id);
    let found = registry
        .get(&format!("/api/v1/instances/{id}"))
        .await
        .expect(200)
        .json();
    assert_eq!(found["tags"], json!(["version=v2"]));
    body["service_name"] = json!("ratings");
    assert_ne!(register(&registry, &body).await, id);
    // The id is the start of SHA-256 over service/type/value, so other servers give the same.
    assert_eq!(id, sha256_start("reviews/http/10.0.0.1:9080"));
}

fn sha256_start(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text)
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect()
}

#[tokio::test]
async fn an_instance_is_shown_as_it_was_registered() {
    let registry = Server::registry(&[]).await;
    let body = r#"{"service_name":"s","endpoint":{"type":"tcp","value":"h:1"},"ttl":60,"status":"warm","tags":["b","a"],"metadata":{"z" : 1.50,"a":[ ]}}"#;
    let reply = registry
        .call(Method::POST, "/api/v1/instances")
        .raw(body)
        .send()
        .await
        .expect(201);
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let text = registry
        .get(&format!("/api/v1/instances/{id}"))
        .await
        .expect(200)
        .text;
    assert!(
        text.contains(r#""metadata":{"z" : 1.50,"a":[ ]}"#),
        "not byte for byte: {text}"
    );
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["status"], "warm");
    assert_eq!(shown["tags"], json!(["b", "a"]));
    assert_eq!(shown["endpoint"], json!({"type": "tcp", "value": "h:1"}));
    assert!(shown["last_heartbeat"].as_str().unwrap().contains('T'));
    registry
        .get("/api/v1/instances/0123456789abcdef")
        .await
        .refused(404, "0123456789abcdef");
}

#[tokio::test]
async fn a_ttl_is_defaulted_and_clamped_and_the_answer_says_so() {
    let registry = Server::registry(&[]).await;
    for (given, kept) in [
        (json!(null), 30),
        (json!(0), 30),
        (json!(1), 10),
        (json!(45), 45),
        (json!(99_999), 600),
    ] {
        let mut body = instance("s", "h:1");
        body["ttl"] = given.clone();
        let reply = registry.post("/api/v1/instances", &body).await.expect(201);
        assert_eq!(reply.json()["ttl"], kept, "ttl {given}");
    }
}

#[tokio::test]
async fn wrong_registrations_name_the_member() {
    let registry = Server::registry(&[]).await;
    let ok = instance("s", "h:1");
    let with = |member: &str, value: Value| {
        let mut body = ok.clone();
        body[member] = value;
        body
    };
    let without = |member: &str| {
        let mut body = ok.clone();
        body.as_object_mut().unwrap().remove(member);
        body
    };
    let long = |n: usize| "x".repeat(n);
    for (member, body) in [
        ("service_name", without("service_name")),
        ("endpoint", without("endpoint")),
        ("service_name", with("service_name", json!(""))),
        ("service_name", with("service_name", json!(long(65)))),
        ("service_name", with("service_name", json!(7))),
        ("service_name", with("service_name", json!(null))),
        ("endpoint", with("endpoint", json!("h:1"))),
        ("endpoint.type", with("endpoint", json!({"value": "h:1"}))),
        (
            "endpoint.type",
            with("endpoint", json!({"type": "ftp", "value": "h:1"})),
        ),
        ("endpoint.value", with("endpoint", json!({"type": "http"}))),
        (
            "endpoint.value",
            with("endpoint", json!({"type": "http", "value": long(129)})),
        ),
        (
            "endpoint.value",
            with("endpoint", json!({"type": "http", "value": "h:99999"})),
        ),
        (
            "endpoint.port",
            with(
                "endpoint",
                json!({"type": "http", "value": "h:1", "port": 1}),
            ),
        ),
        ("ttl", with("ttl", json!(-1))),
        ("ttl", with("ttl", json!("30"))),
        ("ttl", with("ttl", json!(1.5))),
        ("status", with("status", json!(long(33)))),
        ("status", with("status", json!(1))),
        ("tags", with("tags", json!("v1"))),
        ("tags[1]", with("tags", json!(["v1", 2]))),
        ("tags[0]", with("tags", json!([""]))),
        ("metadata", with("metadata", json!(long(1025)))),
        ("serivce", with("serivce", json!("typo"))),
    ] {
        registry
            .post("/api/v1/instances", &body)
            .await
            .refused(400, member);
    }
    for body in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{\"service_name\":\"\u{0}\"}",
        &"[".repeat(100_000),
    ] {
        let reply = registry
            .call(Method::POST, "/api/v1/instances")
            .raw(body.to_owned())
            .send()
            .await;
        reply.refused(400, "");
    }
    let listed = registry
        .get("/api/v1/instances?status=ALL")
        .await
        .expect(200)
        .json();
    assert_eq!(
        listed["instances"],
        json!([]),
        "something refused was stored"
    );
}

#[tokio::test]
async fn everything_within_the_bounds_is_taken() {
    let registry = Server::registry(&[]).await;
    let long = |n: usize| "x".repeat(n);
    for (kind, value) in [
        ("http", "10.0.0.1"),
        ("http", "host.example:8080"),
        ("http", "[::1]:80"),
        ("http", "http://host.example:8080/path"),
        ("https", "https://host.example/"),
        ("https", "host.example:443"),
        ("tcp", "h:1"),
        ("udp", "h:65535"),
        ("user", "anything:at/all"),
        ("user", &long(128)),
    ] {
        let body = json!({"service_name": "s", "endpoint": {"type": kind, "value": value}});
        let id = register(&registry, &body).await;
        let shown = registry.get(&format!("/api/v1/instances/{id}")).await;
        assert_eq!(shown.json()["endpoint"], body["endpoint"]);
    }
    let endpoint = json!({"type": "http", "value": "h:1"});
    for (member, value, shown) in [
        ("service_name", json!(long(64)), json!(long(64))),
        ("status", json!(long(32)), json!(long(32))),
        ("status", json!(""), json!("UP")),
        ("status", json!("up"), json!("UP")),
        ("status", json!("Starting"), json!("STARTING")),
        ("status", json!("out_of_service"), json!("OUT_OF_SERVICE")),
        ("tags", json!([]), json!(null)),
        ("metadata", json!(long(1022)), json!(long(1022))),
        ("metadata", json!(null), json!(null)),
        ("metadata", json!([1, {"a": null}]), json!([1, {"a": null}])),
    ] {
        let mut body = json!({"service_name": "s", "endpoint": endpoint});
        body[member] = value.clone();
        let id = register(&registry, &body).await;
        let found = registry.get(&format!("/api/v1/instances/{id}")).await;
        assert_eq!(found.json()[member], shown, "{member} {value}");
    }
    for kind in ["application/json; charset=utf-8", "application/vnd.a8+json"] {
        let body = instance("s", "h:1").to_string();
        let call = registry.call(Method::POST, "/api/v1/instances").body(body);
        call.header("content-type", kind).send().await.expect(201);
    }
}

#[tokio::test]
async fn bounds_of_body_type_and_method() {
    let registry = Server::registry(&[]).await;
    let path = "/api/v1/instances";
    let big = format!("{{\"metadata\":\"{}\"}}", "x".repeat(1 << 20));
    registry
        .call(Method::POST, path)
        .raw(big)
        .send()
        .await
        .refused(413, "");
    let text = registry
        .call(Method::POST, path)
        .header("content-type", "text/plain");
    text.send().await.refused(415, "json");
    registry.put(path, &json!({})).await.refused(405, "");
    registry.delete("/api/v1/services").await.refused(405, "");
    registry.get("/api/v1/nothing").await.refused(404, "");
    // A body of the largest size is judged by what it says.
    let fits = format!("{{\"metadata\":\"{}\"}}", "x".repeat((1 << 20) - 64));
    registry
        .call(Method::POST, path)
        .raw(fits)
        .send()
        .await
        .refused(400, "");
}
