//! What holds for every route that a server publishes, so that none is forgotten: the list is
//! the server's own OpenAPI document.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;

use a8_tests::jwt;
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
    let expired = jwt::token(&json!({"namespace": "red", "exp": jwt::in_seconds(-600)}));
    for server in both(&jwt::FLAGS).await {
        for (path, methods) in published(&server).await {
            for method in methods {
                for token in [None, Some("nonsense"), Some(&*expired)] {
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
async fn plain_http_is_refused_on_every_route_but_those_of_probes() {
    let probes = ["/health", "/ready", "/metrics"];
    for (plain, strict) in both(&[])
        .await
        .into_iter()
        .zip(both(&["--require_https"]).await)
    {
        for (path, methods) in published(&plain).await {
            for method in methods {
                let reply = call(&strict, &method, &path, None).await;
                let status = if probes.contains(&path.as_str()) {
                    200
                } else {
                    403
                };
                assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_answered_is_documented() {
    for server in both(&[]).await {
        let document = server.get("/openapi.json").await.expect(200).json();
        for (path, methods) in published(&server).await {
            let template = document["paths"].as_object().unwrap().keys().find(|known| {
                let parts = known.split('/').zip(path.split('/'));
                known.split('/').count() == path.split('/').count()
                    && parts.into_iter().all(|(k, p)| k == p || k.starts_with('{'))
            });
            for method in methods {
                let name = method.as_str().to_lowercase();
                let known = &document["paths"][template.unwrap()][name]["responses"];
                let reply = call(&server, &method, &path, None).await;
                let status = reply.status.as_u16().to_string();
                assert!(known[&status].is_object(), "{method} {path}: {status}");
                let bare = server.call(method.clone(), &path).header("if-match", "x");
                let status = bare.send().await.status.as_u16().to_string();
                assert!(known[&status].is_object(), "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn head_is_answered_as_get_is_but_without_a_body() {
    for server in both(&[]).await {
        for (path, methods) in published(&server).await {
            if !methods.contains(&Method::GET) {
                continue;
            }
            let get = server.get(&path).await;
            let head = server.call(Method::HEAD, &path).send().await;
            assert_eq!(head.status, get.status, "{path}");
            assert_eq!(
                head.headers.get("content-type"),
                get.headers.get("content-type"),
                "{path}"
            );
            assert_eq!(head.headers.get("etag"), get.headers.get("etag"), "{path}");
            assert_eq!(head.text, "", "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_no_json_by_its_own_word_is_415_wherever_a_body_is_taken() {
    for server in both(&[]).await {
        for (path, methods) in published(&server).await {
            let taken = ["/api/v1/instances", "/v1/rules"].contains(&path.as_str());
            let writes = [Method::POST, Method::PUT];
            for method in methods.iter().filter(|m| taken && writes.contains(m)) {
                for kind in [
                    None,
                    Some("text/plain"),
                    Some("application/xml"),
                    Some("json"),
                ] {
                    let call = server.call(method.clone(), &path).body("{}");
                    let call = match kind {
                        Some(kind) => call.header("content-type", kind),
                        None => call,
                    };
                    call.send().await.refused(415, "application/json");
                }
                let large = format!("[{}]", " ".repeat(1 << 20));
                server
                    .call(method.clone(), &path)
                    .raw(large)
                    .send()
                    .await
                    .refused(413, "");
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
