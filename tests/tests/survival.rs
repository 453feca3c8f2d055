//! Sidecars that are started while their servers are away, and servers that come back having
//! forgotten everything.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::sync::atomic::{AtomicBool, Ordering};

use a8_tests::fabric::{Fabric, Sidecar, load};
use a8_tests::instance::{Instance, Speaks};
use a8_tests::kubernetes::{Cluster, answered_by, to};
use a8_tests::wait;
use serde_json::json;
use tempfile::TempDir;

/// Registers an instance that nobody renews.
async fn register(fabric: &Fabric, instance: &Instance, version: &str, ttl: u64) {
    let body = json!({
        "service_name": "reviews", "tags": [format!("version={version}")], "ttl": ttl,
        "endpoint": {"type": "http", "value": instance.address.to_string()},
    });
    let made = fabric.registry.post("/api/v1/instances", &body).await;
    made.expect(201);
}

async fn caller(fabric: &Fabric, state: &TempDir) -> Sidecar {
    let own = format!("state_dir: {}", state.path().display());
    fabric.caller("{name: web}", &own).await
}

/// Waits until what is kept says all of `words`.
async fn kept(state: &TempDir, file: &str, words: &[&str]) {
    wait::until(&format!("{file} with {words:?}"), || async {
        let text = std::fs::read_to_string(state.path().join(file)).unwrap_or_default();
        match words.iter().all(|word| text.contains(word)) {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}

#[tokio::test]
async fn a_sidecar_that_starts_while_all_servers_are_away_goes_by_the_last_good_state() {
    let mut fabric = Fabric::start().await;
    let (v1, v2) = (
        Instance::start(Speaks::One, "reviews", "v1").await,
        Instance::start(Speaks::One, "reviews", "v2").await,
    );
    register(&fabric, &v1, "v1", 600).await;
    register(&fabric, &v2, "v2", 600).await;
    let rules = json!([{"id": "r", "destination": "reviews",
        "route": {"backends": [{"tags": ["version=v2"]}]}}]);
    fabric
        .controller
        .post("/v1/rules", &rules)
        .await
        .expect(201);
    let state = tempfile::tempdir().unwrap();
    let before = caller(&fabric, &state).await;
    answered_by(&before, "reviews", &["v2"]).await;
    kept(&state, "instances.state", &["version=v1", "version=v2"]).await;
    kept(&state, "rules.state", &["version=v2"]).await;
    drop(before);
    fabric.registry.process.kill();
    fabric.controller.process.kill();

    let after = caller(&fabric, &state).await;
    for answer in after.get_many("/reviews/", 200).await {
        assert_eq!(answer, Ok("reviews/v2".to_owned()));
    }
    let told = after.admin("/state").await;
    assert_eq!(
        (&told["rules"]["connected"], &told["rules"]["items"]),
        (&json!(false), &json!(1))
    );
    // They come back, and have forgotten all: what is known is held for a while.
    fabric.registry.restart().await;
    fabric.controller.restart().await;
    fabric.in_effect(&[&after], "rules").await;
    for answer in after.get_many("/reviews/", 200).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_registry_that_comes_back_empty_costs_no_request_and_the_dead_leave() {
    let mut fabric = Fabric::start().await;
    let (living, dead) = (
        Instance::start(Speaks::One, "reviews", "v1").await,
        Instance::start(Speaks::One, "reviews", "v2").await,
    );
    register(&fabric, &living, "v1", 600).await;
    register(&fabric, &dead, "v2", 600).await;
    let state = tempfile::tempdir().unwrap();
    let sidecar = caller(&fabric, &state).await;
    answered_by(&sidecar, "reviews", &["v1", "v2"]).await;
    let going = AtomicBool::new(true);
    let restart = async {
        fabric.registry.restart().await;
        register(&fabric, &living, "v1", 600).await;
        // First both are known, one of them only here; then that one leaves.
        for (items, held) in [(2, 1), (1, 0)] {
            wait::until(&format!("{items} instances, {held} held"), || async {
                let told = sidecar.admin("/state").await["instances"].clone();
                match told["items"] == items && told["held"] == held {
                    true => Ok(()),
                    false => Err(told.to_string()),
                }
            })
            .await;
        }
        going.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = tokio::join!(load(&sidecar, "/reviews/", &going), restart);
    let failed: Vec<_> = answers.iter().filter(|answer| answer.is_err()).collect();
    assert!(failed.is_empty(), "{failed:?} of {}", answers.len());
}

#[tokio::test]
async fn the_same_in_a_cluster() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    cluster.rule("r", &to("reviews", "v2"));
    let state = tempfile::tempdir().unwrap();
    let token = cluster.sidecar_token();
    let config = json!({"service": {"name": "web"}, "proxy_config": {"state_dir": state.path()}});
    let before = cluster.sidecar_as(&token, config.clone()).await;
    answered_by(&before, "reviews", &["v2"]).await;
    kept(&state, "instances.state", &["version=v1", "version=v2"]).await;
    kept(&state, "rules.state", &["version=v2"]).await;
    drop(before);
    cluster.api.stop().await;
    let after = cluster.sidecar_as(&token, config).await;
    for answer in after.get_many("/reviews/", 200).await {
        assert_eq!(answer, Ok("reviews/v2".to_owned()));
    }
    cluster.rule("r", &to("reviews", "v1"));
    cluster.api.start_again().await;
    answered_by(&after, "reviews", &["v1"]).await;
}

#[tokio::test]
async fn a_sidecar_is_who_it_was_while_nobody_says_who_it_is() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    let web = cluster.pod("web", "v1").await;
    cluster.rule(
        "for-web",
        &json!({"destination": "reviews",
            "match": {"source": {"name": "unknown", "tags": ["app=web"]}},
            "route": {"backends": [{"tags": ["version=v2"]}]}}),
    );
    let state = tempfile::tempdir().unwrap();
    let token = cluster.sidecar_token();
    let config = json!({"kubernetes": {"pod_name": web.name},
        "proxy_config": {"state_dir": state.path()}});
    let before = cluster.sidecar_as(&token, config.clone()).await;
    answered_by(&before, "reviews", &["v2"]).await;
    kept(&state, "rules.state", &["for-web"]).await;
    kept(&state, "instances.state", &["version=v2"]).await;
    kept(&state, "identity.state", &["app=web"]).await;
    drop(before);
    cluster.api.stop().await;
    let after = cluster.sidecar_as(&token, config).await;
    for answer in after.get_many("/reviews/", 50).await {
        assert_eq!(answer, Ok("reviews/v2".to_owned()));
    }
    // It is another pod's, or nobody's.
    let other = json!({"kubernetes": {"pod_name": "other"},
        "proxy_config": {"state_dir": state.path(), "start_timeout": "100ms"}});
    let other = cluster.sidecar_begun(&token, other).await;
    let told = "what is kept on disk is not used";
    let line = other.process.logged(told).await;
    assert_eq!(line["what"], "identity");
}
