//! Writing: all or nothing, and every fault told.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{Database, listed, on_store, route, rules, seeded, started};

crate::over_each_database!(rules_are_created_in_order_and_given_ids what_comes_back_is_what_was_sent updating_needs_known_ids_and_is_all_or_nothing deleting_by_filter_and_all one_request_is_one_revision_or_nothing all_faults_are_told_at_once deletions_come_through_while_others_write_without_a_pause an_id_that_is_there_is_replaced_and_one_given_twice_refused every_form_of_document_is_taken_but_none_without_a_rule);

async fn rules_are_created_in_order_and_given_ids(database: Database) {
    let controller = started(database).await;
    let mut nameless = route("x", "a");
    nameless.as_object_mut().unwrap().remove("id");
    let body = rules(&[route("first", "a"), nameless, route("third", "a")]);
    let made = controller.post("/v1/rules", &body).await.expect(201).json();
    let made = made["ids"].as_array().unwrap();
    assert_eq!((&made[0], &made[2]), (&json!("first"), &json!("third")));
    assert_eq!(made[1].as_str().unwrap().len(), 36, "a UUID: {}", made[1]);
}

async fn what_comes_back_is_what_was_sent(database: Database) {
    let controller = started(database).await;
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

async fn updating_needs_known_ids_and_is_all_or_nothing(database: Database) {
    let controller = seeded(database).await;
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

async fn deleting_by_filter_and_all(database: Database) {
    let controller = seeded(database).await;
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

async fn one_request_is_one_revision_or_nothing(database: Database) {
    let controller = seeded(database).await;
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
    let [before, after] = [before, after].map(|list| list["revision"].as_u64().unwrap());
    match database {
        Database::Memory => assert_eq!(after, before + 1),
        // Each object is a revision of its own.
        Database::Kubernetes => assert!(after >= before + 200, "{before}, {after}"),
    }
}

async fn all_faults_are_told_at_once(database: Database) {
    let controller = started(database).await;
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

async fn deletions_come_through_while_others_write_without_a_pause(database: Database) {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let controller = match database {
        Database::Memory => on_store(&["--database_type=embedded", &data]).await,
        Database::Kubernetes => started(database).await,
    };
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

async fn an_id_that_is_there_is_replaced_and_one_given_twice_refused(database: Database) {
    let controller = seeded(database).await;
    let again = rules(&[route("r1", "c")]);
    controller.post("/v1/rules", &again).await.expect(201);
    assert_eq!(listed(&controller, "?destination=c").await, ["r1"]);
    let twice = rules(&[route("new", "a"), route("new", "b")]);
    let refused = controller
        .post("/v1/rules", &twice)
        .await
        .refused(400, "id");
    assert_eq!(refused.json()["details"][0]["rule"], 1);
    assert_eq!(listed(&controller, "").await, ["f1", "r1", "r2"]);
}

async fn every_form_of_document_is_taken_but_none_without_a_rule(database: Database) {
    let controller = started(database).await;
    for (body, id) in [
        (route("single", "s"), "single"),
        (json!([route("bare", "s")]), "bare"),
        (json!({"rules": [route("set", "s")], "revision": 4}), "set"),
    ] {
        let reply = controller.post("/v1/rules", &body).await.expect(201);
        assert_eq!(reply.json(), json!({"ids": [id]}));
        controller.put("/v1/rules", &body).await.expect(200);
    }
    for body in [json!([]), json!({"rules": []}), json!({"rules": null})] {
        for method in [Method::POST, Method::PUT] {
            let call = controller.call(method, "/v1/rules").json(&body);
            call.send().await.refused(400, "no_rules_provided");
        }
    }
}
