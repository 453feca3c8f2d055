//! Leaving, heartbeats, expiring, and how many there may be.

use std::time::Duration;

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{instance, register};

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
async fn what_cannot_be_an_id_is_not_there_either() {
    let registry = Server::registry(&[]).await;
    for id in ["%20", "a%2Fb", "%00", "%FF", &"x".repeat(300)] {
        let path = format!("/api/v1/instances/{id}");
        let got = registry.get(&path).await;
        assert!([400, 404].contains(&got.status.as_u16()), "{id}: {got:?}");
        for (method, path) in [
            (Method::DELETE, path.clone()),
            (Method::PUT, format!("{path}/heartbeat")),
        ] {
            let reply = registry.call(method, &path).send().await;
            assert!(
                [400, 410].contains(&reply.status.as_u16()),
                "{id}: {reply:?}"
            );
            assert!(reply.json()["error"].is_string(), "{id}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn a_full_namespace_does_not_fill_another() {
    let registry = Server::registry(&["--namespace_capacity=1", "--auth_mode=trusted"]).await;
    let post = |namespace: &str, address: &str| {
        let call = registry.call(Method::POST, "/api/v1/instances");
        call.token(namespace).json(&instance("s", address)).send()
    };
    post("red", "h:1").await.expect(201);
    post("red", "h:2").await.refused(403, "capacity");
    post("blue", "h:2").await.expect(201);
}
