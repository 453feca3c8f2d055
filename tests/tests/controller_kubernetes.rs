//! Controllers over a cluster, as processes: several of them, their deaths, its outages, and
//! what they ask of it.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;

use a8_tests::kubernetes::{CONTROLLER, Cluster, NAMESPACE};
use a8_tests::process::Process;
use a8_tests::server::Server;
use a8_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};

const RULES: &str = "routingrules.amalgam8.io";

async fn controller(cluster: &Cluster, more: &[&str]) -> Server {
    let args = cluster.controller_args();
    let args: Vec<&str> = args
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    Server::controller(&args).await
}

fn spec(to: &str) -> Value {
    json!({"destination": to, "route": {"backends": [{"tags": ["version=v1"]}]}})
}

fn rule(id: &str, to: &str) -> Value {
    let mut rule = spec(to);
    rule["id"] = json!(id);
    rule
}

fn apply(cluster: &Cluster, name: &str, spec: &Value) {
    cluster.api.put(json!({
        "apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    }));
}

async fn state(cluster: &Cluster, name: &str, expected: &str) {
    wait::until(&format!("{name} to be {expected}"), || async {
        let object = cluster.api.get(RULES, NAMESPACE, name).unwrap_or_default();
        match object["status"]["state"] == expected {
            true => Ok(()),
            false => Err(object.to_string()),
        }
    })
    .await;
}

async fn shows(controller: &Server, ids: &[&str]) {
    wait::until(&format!("{ids:?} to be listed"), || async {
        let list = controller.get("/v1/rules").await.expect(200).json();
        let there = list["rules"].as_array().unwrap().iter();
        let there: Vec<&str> = there.map(|rule| rule["id"].as_str().unwrap()).collect();
        match there == ids {
            true => Ok(()),
            false => Err(list.to_string()),
        }
    })
    .await;
}

/// Waits for `/ready` to say `status` and all of `words`.
async fn ready_says(url: &str, status: u16, words: &[&str]) {
    wait::until(&format!("{url} to say {words:?}"), || async {
        let answer = a8_tests::server::client()
            .get(format!("{url}/ready"))
            .send()
            .await;
        let answer = answer.map_err(|e| e.to_string())?;
        let (got, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        match got == status && words.iter().all(|word| text.contains(word)) {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}

#[tokio::test]
async fn what_kubectl_and_the_api_write_is_one() {
    let cluster = Cluster::start().await;
    let controller = controller(&cluster, &[]).await;
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    assert_eq!(watch.event().await["items"], json!([]));
    apply(&cluster, "theirs", &spec("a"));
    assert_eq!(watch.event().await["items"][0]["id"], "theirs");
    controller
        .post("/v1/rules", &rule("ours", "b"))
        .await
        .expect(201);
    assert_eq!(watch.event().await["items"][0]["id"], "ours");
    let made = cluster.api.get(RULES, NAMESPACE, "ours").unwrap();
    let mut expected = spec("b");
    expected["priority"] = json!(0);
    assert_eq!(made["spec"], expected);
    cluster.api.delete(RULES, NAMESPACE, "ours");
    assert_eq!(watch.event().await["ids"], json!(["ours"]));
    controller.delete("/v1/rules?id=theirs").await.expect(200);
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 0);
    for id in ["Upper", "under_score"] {
        let refused = controller.post("/v1/rules", &rule(id, "a")).await;
        let details = refused.refused(400, "rules[0].id").json()["details"].clone();
        assert_eq!(details[0]["path"], "id");
    }
}

#[tokio::test]
async fn an_account_needs_what_is_documented_and_nothing_else() {
    let cluster = Cluster::start().await;
    apply(
        &cluster,
        "bad",
        &json!({"destination": "a", "match": {"headers": {"A": "("}}, "route": {"backends": [{"tags": ["x"]}]}}),
    );
    let controller = controller(&cluster, &[]).await;
    state(&cluster, "bad", "invalid").await;
    let body = json!([rule("a", "x"), rule("b", "x")]);
    controller.post("/v1/rules", &body).await.expect(201);
    let body = json!([rule("a", "y")]);
    controller.put("/v1/rules", &body).await.expect(200);
    controller.delete("/v1/rules").await.expect(200);
    let events = "events.events.k8s.io";
    wait::until("the event", || async {
        let events = cluster.api.list(events, NAMESPACE);
        (!events.is_empty())
            .then_some(())
            .ok_or_else(|| "none".to_owned())
    })
    .await;
    let asked = cluster.api.requests();
    let refused: Vec<_> = asked.iter().filter(|asked| asked.status == 403).collect();
    assert!(refused.is_empty(), "{refused:?}");
    // Nothing of the cluster but the definition is looked at, and nothing is written besides.
    let beyond: BTreeSet<_> = asked
        .iter()
        .filter(|asked| asked.is_resource() && asked.namespace != NAMESPACE)
        .map(|asked| (asked.verb.as_str(), asked.resource.as_str()))
        .collect();
    let definitions = "customresourcedefinitions";
    let looked = [
        ("get", definitions),
        ("list", definitions),
        ("watch", definitions),
    ];
    assert!(beyond.iter().all(|one| looked.contains(one)), "{beyond:?}");
    // And whatever the manifest allows was needed.
    let user = format!("system:serviceaccount:{NAMESPACE}:{CONTROLLER}");
    let done: BTreeSet<String> = asked
        .iter()
        .filter(|asked| asked.user == user && asked.namespace == NAMESPACE)
        .map(|asked| {
            let sub = match asked.subresource.as_str() {
                "" => String::new(),
                sub => format!("/{sub}"),
            };
            format!("{} {}{sub}", asked.verb, asked.resource)
        })
        .collect();
    let role = cluster
        .api
        .get("roles.rbac.authorization.k8s.io", NAMESPACE, CONTROLLER);
    let role = role.unwrap();
    // A renewal comes later, and an event is patched when it is told again.
    let later = ["update leases", "patch events"];
    for rule in role["rules"].as_array().unwrap() {
        let texts = |list: &str| rule[list].as_array().unwrap().clone();
        for resource in texts("resources") {
            for verb in texts("verbs") {
                let allowed = format!("{} {}", verb.as_str().unwrap(), resource.as_str().unwrap());
                let needed = done.contains(&allowed) || later.contains(&&*allowed);
                assert!(needed, "{allowed} of {done:?}");
            }
        }
    }
}

#[tokio::test]
async fn whether_backends_have_instances_is_told_and_kept_up_with() {
    let cluster = Cluster::start().await;
    apply(&cluster, "r", &spec("reviews"));
    let _controller = controller(&cluster, &[]).await;
    let resolved = async |status: &str, reason: &str| {
        wait::until(&format!("{status} {reason}"), || async {
            let object = cluster.api.get(RULES, NAMESPACE, "r").unwrap_or_default();
            let conditions = object["status"]["conditions"].as_array().cloned();
            let mut conditions = conditions.unwrap_or_default().into_iter();
            let found = conditions.find(|c| c["type"] == "ResolvedRefs");
            let found = found.unwrap_or_default();
            match found["status"] == status && found["reason"] == reason {
                true => Ok(()),
                false => Err(object.to_string()),
            }
        })
        .await;
    };
    resolved("False", "NoInstances").await;
    let pod = |version: &str| {
        cluster.api.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": NAMESPACE, "labels": {"version": version}},
            "spec": {"containers": [{"name": "app", "image": "app"}]}}));
        let pod = cluster.api.get("pods", NAMESPACE, "p").unwrap();
        cluster.api.put(
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": "reviews-1", "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": "reviews"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": "p", "namespace": NAMESPACE,
                    "uid": pod["metadata"]["uid"]}}]}),
        );
    };
    pod("v1");
    resolved("True", "Resolved").await;
    pod("v2");
    resolved("False", "NoInstances").await;
}

#[tokio::test]
async fn when_one_controller_dies_another_goes_on() {
    let cluster = Cluster::start().await;
    let mut first = controller(&cluster, &[]).await;
    let leads = |server: &Server| {
        let metrics = format!("{}/metrics", server.url);
        async move {
            let text = a8_tests::server::client()
                .get(metrics)
                .send()
                .await
                .unwrap()
                .text()
                .await;
            text.unwrap().contains("a8_controller_leads 1")
        }
    };
    wait::until("the first to lead", || async {
        leads(&first)
            .await
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    })
    .await;
    let second = controller(&cluster, &[]).await;
    let made = first.post("/v1/rules", &rule("a", "x")).await.expect(201);
    state(&cluster, "a", "valid").await;
    shows(&second, &["a"]).await;
    assert!(!leads(&second).await);
    // What one told of, the other knows.
    let tag = made.header("etag").to_owned();
    assert_eq!(second.get("/v1/rules").await.header("etag"), tag);
    let mut watch = first.watch("/v1/rules?watch=true").await;
    watch.event().await;
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    first.process.kill();
    let write = second
        .call(Method::PUT, "/v1/rules")
        .header("if-match", &tag);
    write.json(&rule("a", "y")).send().await.expect(200);
    let resumed = format!("/v1/rules?watch=true&epoch={epoch}&revision={revision}");
    let event = second.watch(&resumed).await.event().await;
    assert_eq!(
        (&event["type"], &event["items"][0]["destination"]),
        (&json!("UPSERT"), &json!("y"))
    );
    let broken = json!({"destination": "x", "match": {"headers": {"A": "("}}, "route": {"backends": [{"tags": ["x"]}]}});
    apply(&cluster, "a", &broken);
    shows(&second, &[]).await;
    wait::until("the second to lead", || async {
        leads(&second)
            .await
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    })
    .await;
    state(&cluster, "a", "invalid").await;
}

#[tokio::test]
async fn an_outage_of_the_api_server_stops_no_reader() {
    let cluster = Cluster::start().await;
    let controller = controller(&cluster, &[]).await;
    controller
        .post("/v1/rules", &rule("a", "x"))
        .await
        .expect(201);
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    watch.event().await;
    cluster.api.stop().await;
    ready_says(&controller.url, 503, &["data"]).await;
    shows(&controller, &["a"]).await;
    let refused = controller.post("/v1/rules", &rule("b", "x")).await;
    assert_eq!(
        refused
            .refused(503, "store_unavailable")
            .header("retry-after"),
        "1"
    );
    controller.get("/health").await.expect(200);
    apply(&cluster, "c", &spec("x"));
    cluster.api.start_again().await;
    ready_says(&controller.url, 200, &[]).await;
    assert_eq!(watch.event().await["items"][0]["id"], "c");
    controller
        .post("/v1/rules", &rule("b", "x"))
        .await
        .expect(201);
    shows(&controller, &["a", "b", "c"]).await;
}

#[tokio::test]
async fn without_the_definition_it_starts_and_says_what_to_run() {
    let cluster = Cluster::bare().await;
    let mut args = vec!["--api_port=0".to_owned(), "--log_format=json".to_owned()];
    args.extend(cluster.controller_args());
    let process = Process::start("a8controller", &args, &[]);
    let url = format!("http://127.0.0.1:{}", process.port().await);
    let run = ["kubectl apply -f kubernetes/crd.yaml", RULES];
    ready_says(&url, 503, &run).await;
    let client = a8_tests::server::client();
    let write = client
        .post(format!("{url}/v1/rules"))
        .json(&rule("a", "x"))
        .send()
        .await
        .unwrap();
    assert_eq!(write.status(), 503);
    cluster.install().await;
    ready_says(&url, 200, &[]).await;
    let write = client
        .post(format!("{url}/v1/rules"))
        .json(&rule("a", "x"))
        .send()
        .await
        .unwrap();
    assert_eq!(write.status(), 201);
    let definition = "customresourcedefinitions.apiextensions.k8s.io";
    assert!(cluster.api.delete(definition, "", RULES));
    ready_says(&url, 503, &["was deleted", RULES]).await;
    let write = client
        .post(format!("{url}/v1/rules"))
        .json(&rule("b", "x"))
        .send()
        .await
        .unwrap();
    assert_eq!(write.status(), 503);
    assert!(write.text().await.unwrap().contains(RULES));
    let list = client.get(format!("{url}/v1/rules")).send().await.unwrap();
    let list: Value = serde_json::from_str(&list.text().await.unwrap()).unwrap();
    assert_eq!(list["rules"], json!([]));
    cluster.install().await;
    ready_says(&url, 200, &[]).await;
}

#[tokio::test]
async fn a_missing_permission_is_named_and_only_writes_need_it() {
    let cluster = Cluster::start().await;
    apply(&cluster, "a", &spec("x"));
    let controller = controller(&cluster, &[]).await;
    let mut role = cluster
        .api
        .get("roles.rbac.authorization.k8s.io", NAMESPACE, CONTROLLER)
        .unwrap();
    role["rules"][0]["verbs"] = json!(["get", "list", "watch"]);
    cluster.api.put(role);
    let refused = controller.post("/v1/rules", &rule("b", "x")).await;
    let refused = refused.refused(502, "not_allowed_in_cluster");
    for word in ["create", "routingrules", NAMESPACE] {
        assert!(refused.text.contains(word), "{refused:?}");
    }
    assert!(!refused.text.contains("serviceaccount"), "{refused:?}");
    controller.delete("/v1/rules").await.refused(502, "delete");
    shows(&controller, &["a"]).await;
    controller.get("/ready").await.expect(200);
}

#[tokio::test]
async fn a_token_must_be_for_the_namespace_of_the_cluster() {
    let cluster = Cluster::start().await;
    let controller = controller(&cluster, &["--auth_mode=trusted"]).await;
    let list = |token: &str| {
        controller
            .call(Method::GET, "/v1/rules")
            .token(token)
            .send()
    };
    list(NAMESPACE).await.expect(200);
    for other in ["elsewhere", "other"] {
        list(other).await.refused(403, "other_namespace");
    }
    controller.get("/v1/rules").await.refused(401, "");
}

/// As our images are.
#[tokio::test]
async fn a_system_without_authorities_is_not_asked_for_any() {
    let begin = |args: Vec<String>| {
        let own = ["--api_port=0", "--log_format=json"].map(str::to_owned);
        let args: Vec<String> = args.into_iter().chain(own).collect();
        let nowhere = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];
        Process::start("a8controller", &args, &nowhere)
    };
    // The cluster's are named.
    let cluster = Cluster::start().await;
    let controller = begin(cluster.controller_args());
    let url = format!("http://127.0.0.1:{}", controller.port().await);
    ready_says(&url, 200, &[]).await;
    // Without TLS there are none.
    let plain = [
        "--database_type=kubernetes",
        "--kubernetes_url=http://127.0.0.1:1",
    ];
    let controller = begin(plain.map(str::to_owned).into());
    let url = format!("http://127.0.0.1:{}", controller.port().await);
    ready_says(&url, 503, &["refused"]).await;
}
