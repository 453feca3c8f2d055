//! The sidecar in a cluster: real processes, the API server of the test kit, and its faults.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::time::{Duration, Instant};

use a8_tests::kubernetes::{Cluster, NAMESPACE, answered_by, to, told, versions};
use rustix::process::Signal;
use serde_json::json;

#[tokio::test]
async fn rules_and_pods_are_followed() {
    let cluster = Cluster::start().await;
    let v1 = cluster.pod("reviews", "v1").await;
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    // A pod comes; without a rule both answer.
    let v2 = cluster.pod("reviews", "v2").await;
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    cluster.rule("to-v2", &to("reviews", "v2"));
    answered_by(&sidecar, "reviews", &["v2"]).await;
    cluster.rule("to-v2", &to("reviews", "v1"));
    answered_by(&sidecar, "reviews", &["v1"]).await;
    cluster.no_rule("to-v2");
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    // One is not ready any more; its labels change; it is ready again; it goes.
    cluster.slice(&v1, "reviews", false);
    answered_by(&sidecar, "reviews", &["v2"]).await;
    cluster.rule("to-new", &to("reviews", "new"));
    cluster.label(&v2, &json!({"app": "reviews", "version": "new"}));
    answered_by(&sidecar, "reviews", &["v2"]).await;
    cluster.no_rule("to-new");
    cluster.slice(&v1, "reviews", true);
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    cluster.no_slice(&v2, "reviews");
    answered_by(&sidecar, "reviews", &["v1"]).await;
}

#[tokio::test]
async fn a_rule_of_unknown_shape_is_left_out_and_named() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    cluster.rule_unchecked(
        "of-the-future",
        &json!({"destination": "reviews", "teleport": [7]}),
    );
    cluster.rule("good", &to("reviews", "v2"));
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v2"]).await;
    told(
        &sidecar,
        "rules",
        true,
        "of-the-future: spec: has neither route nor actions",
    )
    .await;
    // Only the engine knows that this is no pattern.
    let bad = json!({"destination": "reviews", "priority": 9, "match": {"headers": {"A": "("}},
        "route": {"backends": [{"tags": ["version=v1"]}]}});
    cluster.rule("bad-pattern", &bad);
    told(
        &sidecar,
        "rules",
        true,
        "spec.match.headers.A: is not a pattern",
    )
    .await;
    answered_by(&sidecar, "reviews", &["v2"]).await;
    cluster.no_rule("of-the-future");
    cluster.no_rule("bad-pattern");
    told(&sidecar, "rules", true, "").await;
}

#[tokio::test]
async fn routing_goes_on_while_the_api_server_is_away_and_catches_up() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    cluster.rule("r", &to("reviews", "v1"));
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    cluster.api.stop().await;
    for kind in ["rules", "instances"] {
        told(&sidecar, kind, false, "refused").await;
    }
    assert_eq!(
        versions(&sidecar, "reviews").await,
        Ok(vec!["v1".to_owned()])
    );
    // What was written meanwhile is in no history any more.
    cluster.rule("r", &to("reviews", "v2"));
    cluster.api.compact();
    cluster.api.start_again().await;
    answered_by(&sidecar, "reviews", &["v2"]).await;
    for kind in ["rules", "instances"] {
        told(&sidecar, kind, true, "").await;
    }
    // And through broken watches, history that is gone, and an API server that is busy.
    cluster.api.restart_compacted().await;
    cluster.rule("r", &to("reviews", "v1"));
    answered_by(&sidecar, "reviews", &["v1"]).await;
    cluster
        .api
        .throttle(4, 1, |asked| asked.verb == "list" || asked.verb == "watch");
    cluster.api.drop_watches();
    cluster.rule("r", &to("reviews", "v2"));
    answered_by(&sidecar, "reviews", &["v2"]).await;
}

#[tokio::test]
async fn a_token_that_has_expired_and_permissions_taken_away_stop_nothing() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    cluster.rule("r", &to("reviews", "v1"));
    let (sidecar, token) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    let role = "roles.rbac.authorization.k8s.io";
    let role_before = cluster.api.get(role, NAMESPACE, "a8-sidecar").unwrap();
    let mut none = role_before.clone();
    none["rules"] = json!([]);
    cluster.api.put(none);
    cluster.api.drop_watches();
    // Named with verb and resource, as the API server does.
    let why = "cannot watch resource \"routingrules\"";
    told(&sidecar, "rules", false, why).await;
    assert_eq!(
        versions(&sidecar, "reviews").await,
        Ok(vec!["v1".to_owned()])
    );
    cluster.rule("r", &to("reviews", "v2"));
    cluster.api.put(role_before);
    answered_by(&sidecar, "reviews", &["v2"]).await;
    cluster.api.expire_token(&token);
    cluster.api.drop_watches();
    told(&sidecar, "instances", false, "Unauthorized").await;
    assert_eq!(
        versions(&sidecar, "reviews").await,
        Ok(vec!["v2".to_owned()])
    );
}

#[tokio::test]
async fn without_the_definition_there_are_no_rules_until_it_is_installed() {
    let cluster = Cluster::bare().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    let began = Instant::now();
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    println!("routes without the definition after {:?}", began.elapsed());
    told(&sidecar, "rules", false, "a8ctl install").await;
    cluster.install().await;
    cluster.rule("r", &to("reviews", "v2"));
    answered_by(&sidecar, "reviews", &["v2"]).await;
    // kubectl delete crd takes all rules with it.
    let definitions = "customresourcedefinitions.apiextensions.k8s.io";
    cluster
        .api
        .delete(definitions, "", "routingrules.amalgam8.io");
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    cluster.install().await;
    cluster.rule("r", &to("reviews", "v1"));
    answered_by(&sidecar, "reviews", &["v1"]).await;
}

#[tokio::test]
async fn who_a_sidecar_is_follows_its_pod() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    let web = cluster.pod("web", "v1").await;
    cluster
        .api
        .put(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "name": "http"}]}}));
    let from = |version: &str| {
        json!({"destination": "reviews",
            "match": {"source": {"name": "web", "tags": [format!("version={version}")]}},
            "route": {"backends": [{"tags": ["version=v2"]}]}})
    };
    cluster.rule(
        "default",
        &json!({"destination": "reviews", "priority": -1,
        "route": {"backends": [{"tags": ["version=v1"]}]}}),
    );
    cluster.rule("for-web", &from("v1"));
    let token = cluster.api.service_account_token(NAMESPACE, "a8-sidecar");
    let pod = json!({"kubernetes": {"pod_name": web.name}});
    let sidecar = cluster.sidecar_as(&token, pod).await;
    answered_by(&sidecar, "reviews", &["v2"]).await;
    assert_eq!(
        sidecar.admin("/state").await["identity"],
        "web:app=web,version=v1"
    );
    cluster.label(&web, &json!({"app": "web", "version": "canary"}));
    answered_by(&sidecar, "reviews", &["v1"]).await;
    cluster.rule("for-web", &from("canary"));
    answered_by(&sidecar, "reviews", &["v2"]).await;
}

#[tokio::test]
async fn a_sidecar_lives_while_nobody_says_who_it_is() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let web = cluster.pod("web", "v1").await;
    let token = cluster.api.service_account_token(NAMESPACE, "a8-sidecar");
    cluster.api.stall();
    let pod = json!({"kubernetes": {"pod_name": web.name},
        "proxy_config": {"start_timeout": "100ms"}});
    let mut sidecar = cluster.sidecar_begun(&token, pod.clone()).await;
    let state = sidecar.admin("/state").await;
    assert_eq!(state["routing"], false);
    // It listens before it has been waited for: callers are told, and not refused.
    sidecar.process.logged("listening").await;
    let answer = sidecar.get("/reviews/", None).await.unwrap_err();
    assert!(answer.starts_with("503"), "{answer}");
    sidecar.process.signal(Signal::TERM);
    assert!(sidecar.process.exit().await.success());
    let log = sidecar.process.stderr();
    let at = |message: &str| log.find(message).unwrap_or(log.len());
    assert!(at("\"listening\"") < at("goes on without knowing"), "{log}");
    // Once it answers, the sidecar begins.
    let sidecar = cluster.sidecar_begun(&token, pod).await;
    cluster.api.release();
    answered_by(&sidecar, "reviews", &["v1"]).await;
    assert_eq!(
        sidecar.admin("/state").await["identity"],
        "unknown:app=web,version=v1"
    );
}

#[tokio::test]
async fn nobody_is_asked_who_a_sidecar_is_that_was_told() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let token = cluster.api.service_account_token(NAMESPACE, "a8-sidecar");
    let told = json!({
        "service": {"name": "web", "tags": ["version=v9"]},
        "kubernetes": {"pod_name": "there-is-no-such-pod"},
    });
    let sidecar = cluster.sidecar_as(&token, told).await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    assert_eq!(sidecar.admin("/state").await["identity"], "web:version=v9");
    let asked = cluster.api.requests();
    let mut pods = asked.iter().filter(|a| a.resource == "pods");
    assert!(pods.all(|a| !a.query.contains("fieldSelector")));
}

/// The figure, for people; what is asserted is that it comes about at all.
#[tokio::test]
async fn how_soon_a_rule_bites() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    let mut times = Vec::new();
    for n in 0..20 {
        let version = ["v1", "v2"][n % 2];
        cluster.rule("r", &to("reviews", version));
        let written = Instant::now();
        let wanted = format!("reviews/{version}");
        while sidecar.get("/reviews/", None).await.as_deref() != Ok(&*wanted) {
            assert!(written.elapsed() < Duration::from_secs(60));
        }
        times.push(written.elapsed());
    }
    times.sort_unstable();
    println!(
        "a rule bites after {:?} (median), {:?} at most",
        times[10], times[19]
    );
}
