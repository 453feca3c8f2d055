//! Every row of the controller's API table, over the real binary, with wrong inputs too.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use a8_tests::server::Server;
use reqwest::Method;
use serde_json::{Value, json};

fn route(id: &str, destination: &str) -> Value {
    json!({"id": id, "destination": destination, "tags": ["t", id], "route": {"backends": [{"tags": ["version=v1"]}]}})
}

fn action(id: &str, destination: &str) -> Value {
    json!({"id": id, "destination": destination, "actions": [{"action": "delay", "duration": 7}]})
}

fn rules(rules: &[Value]) -> Value {
    json!({ "rules": rules })
}

async fn seeded() -> Server {
    let controller = Server::controller(&[]).await;
    let body = rules(&[route("r1", "a"), route("r2", "b"), action("f1", "a")]);
    let reply = controller.post("/v1/rules", &body).await.expect(201);
    assert_eq!(reply.json(), json!({"ids": ["r1", "r2", "f1"]}));
    controller
}

fn ids(list: &Value) -> Vec<String> {
    let of = |rule: &Value| rule["id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = list.as_array().unwrap().iter().map(of).collect();
    ids.sort();
    ids
}

async fn listed(controller: &Server, query: &str) -> Vec<String> {
    let reply = controller
        .get(&format!("/v1/rules{query}"))
        .await
        .expect(200);
    ids(&reply.json()["rules"])
}

#[tokio::test]
async fn rules_are_created_in_order_and_given_ids() {
    let controller = Server::controller(&[]).await;
    let mut nameless = route("x", "a");
    nameless.as_object_mut().unwrap().remove("id");
    let body = rules(&[route("first", "a"), nameless, route("third", "a")]);
    let made = controller.post("/v1/rules", &body).await.expect(201).json();
    let made = made["ids"].as_array().unwrap();
    assert_eq!((&made[0], &made[2]), (&json!("first"), &json!("third")));
    assert_eq!(made[1].as_str().unwrap().len(), 36, "a UUID: {}", made[1]);
}

#[tokio::test]
async fn what_comes_back_is_what_was_sent() {
    let controller = Server::controller(&[]).await;
    let sent = json!({"id": "r", "priority": 3, "tags": ["x"], "destination": "s",
        "match": {"source": {"name": "web", "tags": ["version=v1"]}, "headers": {"Cookie": ".*user=jason.*"},
                  "none": [{"headers": {"Foo": "bar"}}]},
        "route": {"backends": [{"tags": ["version=v2"], "weight": 0.29, "timeout": 2.5}, {"name": "other", "tags": ["version=v1"], "lb_type": "random"}],
                  "http_req_timeout": 15, "http_req_retries": 2}});
    controller
        .post("/v1/rules", &rules(std::slice::from_ref(&sent)))
        .await
        .expect(201);
    let list = controller.get("/v1/rules?id=r").await.expect(200).json();
    for (member, value) in sent.as_object().unwrap() {
        assert_eq!(&list["rules"][0][member], value, "{member}");
    }
    assert!(list["revision"].is_u64());
}

#[tokio::test]
async fn listings_filter_by_id_tag_and_destination() {
    let controller = seeded().await;
    assert_eq!(listed(&controller, "").await, ["f1", "r1", "r2"]);
    assert_eq!(listed(&controller, "?id=r1&id=f1").await, ["f1", "r1"]);
    assert_eq!(listed(&controller, "?tag=t").await, ["r1", "r2"]);
    assert_eq!(listed(&controller, "?tag=t&tag=r1").await, ["r1"]);
    assert_eq!(listed(&controller, "?destination=a").await, ["f1", "r1"]);
    assert_eq!(
        listed(&controller, "?destination=a&destination=b").await,
        ["f1", "r1", "r2"]
    );
    assert_eq!(
        listed(&controller, "?tag=nobody").await,
        Vec::<String>::new()
    );
    controller
        .get("/v1/rules?id=r1&id=gone")
        .await
        .refused(404, "gone");
    controller
        .get("/v1/rules?colour=red")
        .await
        .refused(400, "colour");
}

#[tokio::test]
async fn routes_and_actions_are_grouped_by_destination() {
    let controller = seeded().await;
    let routes = controller.get("/v1/rules/routes").await.expect(200).json();
    assert_eq!(ids(&routes["services"]["a"]), ["r1"]);
    assert_eq!(ids(&routes["services"]["b"]), ["r2"]);
    let actions = controller.get("/v1/rules/actions").await.expect(200).json();
    assert_eq!(
        actions["services"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["a"]
    );
    let of_b = controller.get("/v1/rules/routes/b").await.expect(200);
    assert!(
        of_b.text.contains("\"r2\"") && !of_b.text.contains("\"r1\""),
        "{}",
        of_b.text
    );
    controller.get("/v1/rules/actions/a").await.expect(200);
    controller.delete("/v1/rules/actions/a").await.expect(200);
    assert_eq!(listed(&controller, "").await, ["r1", "r2"]);
    controller.delete("/v1/rules/routes/a").await.expect(200);
    assert_eq!(listed(&controller, "").await, ["r2"]);
}

#[tokio::test]
async fn updating_needs_known_ids_and_is_all_or_nothing() {
    let controller = seeded().await;
    let before = controller.get("/v1/rules").await.json();
    let mut changed = route("r1", "a");
    changed["priority"] = json!(9);
    controller
        .put("/v1/rules", &rules(&[changed.clone(), route("gone", "a")]))
        .await
        .refused(404, "gone");
    assert_eq!(controller.get("/v1/rules").await.json(), before);
    let mut nameless = route("x", "a");
    nameless.as_object_mut().unwrap().remove("id");
    controller
        .put("/v1/rules", &rules(&[changed.clone(), nameless]))
        .await
        .refused(400, "id");
    controller
        .put("/v1/rules", &rules(&[changed]))
        .await
        .expect(200);
    let list = controller.get("/v1/rules?id=r1").await.json();
    assert_eq!(list["rules"][0]["priority"], 9);
    assert!(list["revision"].as_u64() > before["revision"].as_u64());
}

#[tokio::test]
async fn deleting_by_filter_and_all() {
    let controller = seeded().await;
    controller
        .delete("/v1/rules?id=gone")
        .await
        .refused(404, "gone");
    assert_eq!(listed(&controller, "").await.len(), 3);
    controller.delete("/v1/rules?id=r1").await.expect(200);
    assert_eq!(listed(&controller, "").await, ["f1", "r2"]);
    controller
        .delete("/v1/rules?destination=b")
        .await
        .expect(200);
    assert_eq!(listed(&controller, "").await, ["f1"]);
    controller.delete("/v1/rules").await.expect(200);
    assert_eq!(listed(&controller, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn one_request_is_one_revision_or_nothing() {
    let controller = seeded().await;
    let before = controller.get("/v1/rules").await.json();
    let mut bad = route("bad", "a");
    bad["route"]["backends"][0]["weight"] = json!(7);
    let reply = controller
        .post("/v1/rules", &rules(&[route("good", "a"), bad]))
        .await;
    let body = reply.refused(400, "weight").json();
    assert_eq!(body["error"], "invalid_rule");
    assert!(body["description"].is_string());
    assert_eq!(body["details"][0]["rule"], 1);
    assert!(
        body["details"][0]["path"]
            .as_str()
            .unwrap()
            .starts_with("route.backends")
    );
    assert_eq!(controller.get("/v1/rules").await.json(), before);
    let many: Vec<Value> = (0..200).map(|n| route(&format!("m{n}"), "a")).collect();
    controller
        .post("/v1/rules", &rules(&many))
        .await
        .expect(201);
    let after = controller.get("/v1/rules").await.json();
    assert_eq!(
        after["revision"].as_u64().unwrap(),
        before["revision"].as_u64().unwrap() + 1
    );
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let controller = Server::controller(&[]).await;
    let body = json!({"rules": [
        {"route": {"backends": [{"tags": ["a"]}]}},
        {"destination": "s"},
        {"destination": "s", "route": {"backends": [{"tags": ["a"], "wieght": 1}, {"tags": [], "weight": -1}]}},
        {"destination": "s", "match": {"headers": {"A": "("}}, "actions": [{"action": "explode"}]},
        "no rule"]});
    let details = controller
        .post("/v1/rules", &body)
        .await
        .refused(400, "")
        .json();
    let text = details["details"].to_string();
    for path in [
        "destination",
        "route.backends[0].wieght",
        "route.backends[1].tags",
        "route.backends[1].weight",
        "match.headers.A",
        "actions[0].action",
    ] {
        assert!(text.contains(path), "{path} is not told: {text}");
    }
    let rules: std::collections::BTreeSet<u64> = details["details"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|d| d["rule"].as_u64())
        .collect();
    assert_eq!(rules.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_dry_run_judges_and_stores_nothing() {
    let controller = seeded().await;
    let before = controller.get("/v1/rules").await.json();
    let reply = controller
        .post("/v1/rules?dry_run=true", &rules(&[route("dry", "a")]))
        .await;
    assert!(
        reply.status.is_success() && reply.text.contains("dry"),
        "{reply:?}"
    );
    let bad = json!({"rules": [{"destination": "s"}]});
    controller
        .post("/v1/rules?dry_run=true", &bad)
        .await
        .refused(400, "");
    assert_eq!(controller.get("/v1/rules").await.json(), before);
}

#[tokio::test]
async fn writes_can_be_bound_to_a_revision() {
    let controller = seeded().await;
    let list = controller.get("/v1/rules").await.expect(200);
    let (revision, tag) = (
        list.json()["revision"].as_u64().unwrap(),
        list.header("etag").to_owned(),
    );
    let write = |method: Method, path: &str, condition: &str| {
        controller
            .call(method, path)
            .header("if-match", condition)
            .json(&rules(&[route("r1", "a")]))
            .send()
    };
    write(Method::PUT, "/v1/rules", &format!("\"{revision}\""))
        .await
        .expect(200);
    for condition in [format!("\"{revision}\""), tag] {
        write(Method::PUT, "/v1/rules", &condition)
            .await
            .refused(412, "");
        write(Method::DELETE, "/v1/rules", &condition)
            .await
            .refused(412, "");
        let create = controller
            .call(Method::POST, "/v1/rules")
            .header("if-match", &condition);
        create
            .json(&rules(&[route("new", "a")]))
            .send()
            .await
            .refused(412, "");
    }
    let now = controller.get("/v1/rules").await.expect(200);
    assert_eq!(ids(&now.json()["rules"]), ["f1", "r1", "r2"]);
    write(Method::PUT, "/v1/rules", now.header("etag"))
        .await
        .expect(200);
    write(Method::PUT, "/v1/rules", "nonsense")
        .await
        .refused(400, "If-Match");
}

#[tokio::test]
async fn lists_have_an_etag_and_answer_304() {
    let controller = seeded().await;
    let tag = controller
        .get("/v1/rules")
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let known = |path: &str| {
        controller
            .call(Method::GET, path)
            .header("if-none-match", &tag)
            .send()
    };
    assert!(known("/v1/rules").await.expect(304).text.is_empty());
    controller.delete("/v1/rules?id=r1").await.expect(200);
    known("/v1/rules").await.expect(200);
}

#[tokio::test]
async fn bounds_of_body_type_and_method() {
    let controller = seeded().await;
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

#[tokio::test]
async fn a_watch_tells_one_transaction_a_line_and_goes_on_where_it_was() {
    let controller = seeded().await;
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    let reset = watch.event().await;
    assert_eq!(
        (reset["type"].as_str(), ids(&reset["items"]).len()),
        (Some("RESET"), 3)
    );
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    controller
        .post("/v1/rules", &rules(&[route("n1", "c"), route("n2", "c")]))
        .await
        .expect(201);
    let event = watch.event().await;
    assert_eq!(
        (event["type"].as_str(), ids(&event["items"])),
        (Some("UPSERT"), vec!["n1".into(), "n2".into()])
    );
    controller
        .delete("/v1/rules?destination=c")
        .await
        .expect(200);
    let event = watch.event().await;
    assert_eq!(
        (
            event["type"].as_str(),
            event["ids"].as_array().unwrap().len()
        ),
        (Some("REMOVE"), 2)
    );
    let list = controller.get("/v1/rules").await.json();
    assert_eq!(list["revision"], watch.revision);
    assert_eq!(
        ids(&list["rules"]),
        watch.items.keys().cloned().collect::<Vec<_>>()
    );

    let resumed = format!("/v1/rules?watch=true&epoch={epoch}&revision={revision}");
    assert_eq!(
        controller.watch(&resumed).await.event().await["type"],
        "UPSERT"
    );
    let mut filtered = controller.watch("/v1/rules?watch=true&destination=z").await;
    assert_eq!(filtered.event().await["items"], json!([]));
    controller
        .post("/v1/rules", &rules(&[route("x", "y")]))
        .await
        .expect(201);
    assert!(filtered.quiet_for(Duration::from_millis(200)).await);
    controller
        .post("/v1/rules", &rules(&[route("w", "z")]))
        .await
        .expect(201);
    assert_eq!(ids(&filtered.event().await["items"]), ["w"]);
    controller
        .put("/v1/rules", &rules(&[route("w", "y")]))
        .await
        .expect(200);
    assert_eq!(
        filtered.event().await["ids"],
        json!(["w"]),
        "it left the filter's sight"
    );
}

#[tokio::test]
async fn the_rest_of_the_table() {
    let controller = Server::controller(&[]).await;
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

#[tokio::test]
async fn deletions_come_through_while_others_write_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let controller = Server::controller(&["--database_type=embedded", &data]).await;
    let going = std::sync::atomic::AtomicBool::new(true);
    let write = async |writer: usize| {
        while going.load(std::sync::atomic::Ordering::Relaxed) {
            let body = rules(&[route(&format!("w{writer}"), "busy")]);
            controller.post("/v1/rules", &body).await.expect(201);
        }
    };
    let delete = async {
        for n in 0..20 {
            let body = rules(&[route(&format!("d{n}"), "s")]);
            controller.post("/v1/rules", &body).await.expect(201);
            let path = match n % 2 {
                0 => format!("/v1/rules?id=d{n}"),
                _ => "/v1/rules?destination=s".to_owned(),
            };
            controller.delete(&path).await.expect(200);
        }
        going.store(false, std::sync::atomic::Ordering::Relaxed);
    };
    let writers = futures_util::future::join_all((0..6).map(write));
    tokio::join!(writers, delete);
    assert_eq!(listed(&controller, "?destination=s").await, [""; 0]);
}
