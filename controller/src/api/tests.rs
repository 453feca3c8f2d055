use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use a8_common::auth::Authenticator;
use a8_common::host::Ground;
use a8_common::http::{Health, Https, Limits, Metrics, Server};
use a8_common::model::{Epoch, Revision};
use a8_common::store::{
    CommitError, Entry, LeaseError, LeaseId, Memory, Range, Store, Transaction, Unavailable, Watch,
    WatchError,
};
use a8_common::task::{Stop, Tasks};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// A store that can be away.
struct Flaky {
    inner: Memory,
    away: AtomicBool,
}

impl Flaky {
    fn there(&self) -> Result<&Memory, Unavailable> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Unavailable::because("pulled out")),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Store for Flaky {
    async fn epoch(&self) -> Result<Epoch, Unavailable> {
        self.there()?.epoch().await
    }
    async fn revision(&self) -> Result<Revision, Unavailable> {
        self.there()?.revision().await
    }
    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, Unavailable> {
        self.there()?.get(key).await
    }
    async fn range(&self, prefix: &str) -> Result<Range, Unavailable> {
        self.there()?.range(prefix).await
    }
    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.there()?.commit(transaction).await
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable> {
        self.there()?.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.there()?.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.there()?.revoke(lease).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        self.there()?.watch(prefix, after).await
    }
    async fn health(&self) -> Result<(), Unavailable> {
        self.there()?.health().await
    }
}

struct Controller {
    router: Router,
    store: Arc<Flaky>,
    health: Health,
    stop: Stop,
    /// End the background work when they go.
    _tasks: [Tasks; 2],
}

/// One whose store is away from the beginning, or not.
fn started(away: bool) -> Controller {
    let tasks = [Tasks::new(Stop::new()), Tasks::new(Stop::new())];
    let store = Arc::new(Flaky {
        inner: Memory::start(&tasks[0]),
        away: AtomicBool::new(away),
    });
    let (health, stop) = (Health::new(), Stop::new());
    let metrics = Metrics::new(Registry::new()).unwrap();
    let book = RuleBook::start(Ground {
        store: store.clone(),
        tasks: &tasks[1],
        health: &health,
        metrics: metrics.registry(),
    })
    .unwrap();
    let server = Server {
        limits: Limits::default(),
        auth: Authenticator::none(),
        https: Https::default(),
        shape,
        metrics,
        health: health.clone(),
        stop: stop.clone(),
    };
    Controller {
        router: server.router(router(Arc::new(book))),
        store,
        health,
        stop,
        _tasks: tasks,
    }
}

async fn ready() -> Controller {
    let controller = started(false);
    while !controller.health.is_ready() {
        tokio::task::yield_now().await;
    }
    controller
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }
    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Controller {
    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], &Value::Null).await
    }

    async fn post(&self, body: &Value) -> Reply {
        self.call("POST", "/v1/rules", &[], body).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, &[], &Value::Null).await
    }
}

fn rule(id: &str, to: &str) -> Value {
    json!({"id": id, "destination": to, "route": {"backends": [{"tags": ["t"]}]}})
}

#[tokio::test(start_paused = true)]
async fn until_the_store_was_read_nothing_is_known() {
    let controller = started(true);
    for path in [
        "/v1/rules",
        "/v1/rules?watch=true",
        "/v1/rules/routes",
        "/v1/rules/actions/a",
    ] {
        let reply = controller.get(path).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, "1"),
            "{path}"
        );
        assert_eq!(reply.json()["error"], "not_loaded");
    }
    assert_eq!(controller.post(&rule("a", "s")).await.status, 503);
    assert_eq!(controller.get("/ready").await.status, 503);
    assert_eq!(controller.get("/health").await.status, 200);
    controller.store.away.store(false, Ordering::SeqCst);
    while controller.get("/ready").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(controller.get("/v1/rules").await.json()["rules"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_reads_go_on_and_writes_say_so() {
    let controller = ready().await;
    assert_eq!(controller.post(&rule("a", "s")).await.status, 201);
    controller.store.away.store(true, Ordering::SeqCst);
    for (method, body) in [
        ("POST", rule("b", "s")),
        ("PUT", rule("a", "t")),
        ("DELETE", Value::Null),
    ] {
        let reply = controller.call(method, "/v1/rules", &[], &body).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (503, "1"),
            "{method}"
        );
        assert_eq!(reply.json()["error"], "store_unavailable");
        assert!(!reply.text.contains("pulled out"), "{}", reply.text);
    }
    let list = controller.get("/v1/rules").await;
    assert_eq!(
        (list.status, &list.json()["rules"][0]["id"]),
        (200, &json!("a"))
    );
    let degraded = loop {
        let ready = controller.get("/ready").await;
        if ready.status != 200 {
            break ready;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let why = json!({"store": "the store is unavailable: pulled out"});
    assert_eq!(
        (degraded.status, degraded.json()),
        (503, json!({"status": "degraded", "waiting": why}))
    );
    assert_eq!(controller.get("/health").await.status, 200);
    controller.store.away.store(false, Ordering::SeqCst);
    while controller.get("/ready").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn every_form_of_document_is_taken_and_none_at_all_refused() {
    let controller = ready().await;
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

#[tokio::test]
async fn an_id_that_is_there_is_replaced_and_one_given_twice_refused() {
    let controller = ready().await;
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

#[tokio::test]
async fn the_answer_to_a_write_names_the_state_that_it_made() {
    let controller = ready().await;
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

#[tokio::test]
async fn a_dry_run_tells_what_would_be() {
    let controller = ready().await;
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

#[tokio::test]
async fn a_parameter_that_means_nothing_is_refused_by_name() {
    let controller = ready().await;
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

#[tokio::test]
async fn rules_are_grouped_in_the_order_in_which_they_are_tried() {
    let controller = ready().await;
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

#[tokio::test]
async fn a_watch_ends_when_the_server_stops() {
    let controller = ready().await;
    let request = Request::get("/v1/rules?watch=true")
        .body(Body::empty())
        .unwrap();
    let response = controller.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    controller.stop.fire();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.is_empty() || text.ends_with(b"\n"));
}
