//! What holds for every route that a server publishes, so that none is forgotten: the list is
//! the server's own OpenAPI document.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;

use a8_tests::server::{Reply, Server};
use reqwest::Method;
use serde_json::{Value, json};

/// Open to all: what probes and tools ask before they have a token.
const OPEN: [&str; 5] = ["/health", "/ready", "/metrics", "/uptime", "/openapi.json"];

/// Methods by path, with something put in place of each parameter.
fn routes(document: &Value) -> BTreeMap<String, Vec<Method>> {
    let mut routes = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path: Vec<&str> = path
            .split('/')
            .map(|part| {
                if part.starts_with('{') {
                    "0123456789abcdef"
                } else {
                    part
                }
            })
            .collect();
        let methods = methods.as_object().unwrap().keys();
        let methods = methods
            .filter(|name| ["get", "put", "post", "delete", "patch"].contains(&name.as_str()))
            .map(|name| name.to_uppercase().parse().unwrap());
        routes.insert(path.join("/"), methods.collect());
    }
    assert!(routes.len() >= 8, "{:?}", routes.keys());
    routes
}

async fn both(args: &[&str]) -> [Server; 2] {
    [Server::registry(args).await, Server::controller(args).await]
}

async fn published(server: &Server) -> BTreeMap<String, Vec<Method>> {
    routes(&server.get("/openapi.json").await.expect(200).json())
}

async fn call(server: &Server, method: &Method, path: &str, token: Option<&str>) -> Reply {
    let call = server.call(method.clone(), path).json(&json!({}));
    let call = match token {
        Some(token) => call.token(token),
        None => call,
    };
    call.send().await
}

#[tokio::test]
async fn no_route_answers_without_a_good_token_unless_it_is_meant_to() {
    for server in both(&["--auth_mode=jwt", "--jwt_secret=a secret of the test"]).await {
        for (path, methods) in published(&server).await {
            for method in methods {
                for token in [None, Some("nonsense")] {
                    let reply = call(&server, &method, &path, token).await;
                    if OPEN.contains(&path.as_str()) {
                        assert_eq!(reply.status, 200, "{method} {path}: {reply:?}");
                    } else {
                        assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
                        assert!(
                            reply.json()["error"].is_string(),
                            "{method} {path}: {reply:?}"
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_method_that_a_route_has_not_is_405_and_the_answer_names_those_it_has() {
    for server in both(&[]).await {
        for (path, methods) in published(&server).await {
            for wrong in [
                Method::GET,
                Method::PUT,
                Method::POST,
                Method::DELETE,
                Method::PATCH,
            ] {
                if methods.contains(&wrong) {
                    continue;
                }
                let reply = call(&server, &wrong, &path, None).await;
                assert_eq!(reply.status, 405, "{wrong} {path}: {reply:?}");
                assert!(
                    reply.json()["error"].is_string(),
                    "{wrong} {path}: {reply:?}"
                );
                let allow = reply.header("allow");
                for method in &methods {
                    assert!(allow.contains(method.as_str()), "{wrong} {path}: {allow}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_route_is_404_as_json() {
    for server in both(&[]).await {
        for path in [
            "/",
            "/v2/rules",
            "/api/v1/nothing",
            "/v1/rules/routes/a/b",
            "/openapi.yaml",
        ] {
            server.get(path).await.refused(404, "");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_wherever_one_is_taken() {
    for server in both(&[]).await {
        for path in ["/api/v1/instances", "/v1/rules"] {
            for method in [Method::POST, Method::PUT] {
                if !published(&server)
                    .await
                    .get(path)
                    .is_some_and(|m| m.contains(&method))
                {
                    continue;
                }
                for body in [
                    "",
                    "{",
                    "nonsense",
                    "[1",
                    "\u{0}",
                    "{\"a\":1}{",
                    "\"text\"",
                    "7",
                ] {
                    let reply = server.call(method.clone(), path).raw(body).send().await;
                    assert_eq!(reply.status, 400, "{method} {path} {body:?}: {reply:?}");
                    assert!(reply.json()["error"].is_string(), "{body:?}: {reply:?}");
                }
                let deep = "[".repeat(100_000);
                server
                    .call(method.clone(), path)
                    .raw(deep)
                    .send()
                    .await
                    .refused(400, "");
            }
        }
    }
}
