//! Every row of the registry's API table, over the real binary, with wrong inputs too.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

fn instance(service: &str, address: &str) -> Value {
    json!({"service_name": service, "endpoint": {"type": "http", "value": address}, "ttl": 60, "tags": ["version=v1", "zone=eu"]})
}

async fn register(registry: &Server, body: &Value) -> String {
    let reply = registry.post("/api/v1/instances", body).await.expect(201);
    reply.json()["id"].as_str().unwrap().to_owned()
}

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

#[tokio::test]
async fn an_instance_leaves_once() {
    let registry = Server::registry(&[]).await;
    let id = register(&registry, &instance("s", "h:1")).await;
    registry
        .delete(&format!("/api/v1/instances/{id}"))
        .await
        .expect(200);
    registry
        .delete(&format!("/api/v1/instances/{id}"))
        .await
        .refused(410, &id);
    registry
        .put(&format!("/api/v1/instances/{id}/heartbeat"), &json!({}))
        .await
        .refused(410, &id);
    registry.get("/api/v1/services/s").await.refused(404, "s");
}

#[tokio::test]
async fn a_heartbeat_needs_no_body_and_keeps_the_instance() {
    let registry = Server::registry(&["--min_ttl=1s"]).await;
    let mut body = instance("s", "h:1");
    body["ttl"] = json!(2);
    let id = register(&registry, &body).await;
    let beat = format!("/api/v1/instances/{id}/heartbeat");
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        registry.call(Method::PUT, &beat).send().await.expect(200);
    }
    let first = registry
        .get(&format!("/api/v1/instances/{id}"))
        .await
        .expect(200)
        .json();
    tokio::time::sleep(Duration::from_millis(50)).await;
    registry.call(Method::PUT, &beat).send().await.expect(200);
    let then = registry
        .get(&format!("/api/v1/instances/{id}"))
        .await
        .expect(200)
        .json();
    assert_ne!(first["last_heartbeat"], then["last_heartbeat"]);
    a8_tests::wait::until("the instance to expire", || async {
        let status = registry
            .get(&format!("/api/v1/instances/{id}"))
            .await
            .status;
        if status == 404 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    registry
        .call(Method::PUT, &beat)
        .send()
        .await
        .refused(410, &id);
}

#[tokio::test]
async fn out_of_service_does_not_expire() {
    let registry = Server::registry(&["--min_ttl=1s"]).await;
    let mut staying = instance("s", "h:1");
    staying["ttl"] = json!(1);
    staying["status"] = json!("out_of_service");
    let staying = register(&registry, &staying).await;
    let mut leaving = instance("s", "h:2");
    leaving["ttl"] = json!(1);
    register(&registry, &leaving).await;
    a8_tests::wait::until("the other instance to expire", || async {
        let all = registry.get("/api/v1/instances?status=ALL").await.json();
        if all["instances"].as_array().unwrap().len() == 1 {
            Ok(())
        } else {
            Err(all.to_string())
        }
    })
    .await;
    let kept = registry
        .get(&format!("/api/v1/instances/{staying}"))
        .await
        .expect(200)
        .json();
    assert_eq!(kept["status"], "OUT_OF_SERVICE");
}

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
async fn a_list_has_an_etag_and_answers_304() {
    let registry = Server::registry(&[]).await;
    register(&registry, &instance("s", "h:1")).await;
    let first = registry.get("/api/v1/instances").await.expect(200);
    let tag = first.header("etag").to_owned();
    let again = registry
        .call(Method::GET, "/api/v1/instances")
        .header("if-none-match", &tag)
        .send()
        .await;
    assert!(again.expect(304).text.is_empty());
    register(&registry, &instance("s", "h:2")).await;
    let changed = registry
        .call(Method::GET, "/api/v1/instances")
        .header("if-none-match", &tag)
        .send()
        .await;
    assert_ne!(changed.expect(200).header("etag"), tag);
}

#[tokio::test]
async fn capacity_is_kept_even_against_a_crowd() {
    let registry = Server::registry(&["--namespace_capacity=3"]).await;
    let bodies: Vec<Value> = (1..=12).map(|n| instance("s", &format!("h:{n}"))).collect();
    let replies = futures_util::future::join_all(
        bodies.iter().map(|b| registry.post("/api/v1/instances", b)),
    )
    .await;
    let created = replies.iter().filter(|r| r.status == 201).count();
    assert_eq!(created, 3);
    for reply in replies.into_iter().filter(|r| r.status != 201) {
        reply.refused(403, "3");
    }
    // Whoever is in may register again; leaving makes room.
    let list = registry.get("/api/v1/instances").await.json();
    let inside = &list["instances"][0];
    let body = instance("s", inside["endpoint"]["value"].as_str().unwrap());
    registry.post("/api/v1/instances", &body).await.expect(201);
    registry
        .delete(&format!(
            "/api/v1/instances/{}",
            inside["id"].as_str().unwrap()
        ))
        .await
        .expect(200);
    registry
        .post("/api/v1/instances", &instance("s", "h:99"))
        .await
        .expect(201);
}

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
