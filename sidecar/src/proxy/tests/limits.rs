use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::proxy::limits::Bound;
use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, eventually, instance, request};

/// An origin whose answers wait until they are let go.
async fn held() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let keeper = gate.clone();
    let origin = Origin::new(move |_| {
        let gate = keeper.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(Full::from(Bytes::from_static(b"held")))
        }
    })
    .await;
    (origin, gate)
}

fn rule(resilience: &str) -> String {
    format!(
        "[{{id: r, destination: s, route: {{backends: [{{tags: [v1], resilience: {{{resilience}}}}}]}}}}]"
    )
}

async fn rig(value: &str, rules: &str) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", value)).await;
    fabric.rules(rules).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy)
}

fn in_flight(fabric: &Fabric) -> u32 {
    let routes = fabric.routes.load();
    let found = routes.table.backends().next();
    found.unwrap().2.in_flight()
}

#[tokio::test]
async fn beyond_the_most_requests_in_flight_there_is_a_quick_no() {
    let (origin, gate) = held().await;
    let (mut fabric, proxy) = rig(&origin.value(), &rule("max_requests: 3")).await;
    let to = proxy.address();
    let mut load = JoinSet::new();
    for _ in 0..3 {
        load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    eventually(async || in_flight(&fabric) == 3).await;
    let refused = request(to, "GET /s/", &[]).await;
    assert_eq!(
        (refused.status, refused.field("a8-error")),
        (503, Some("UO"))
    );
    assert_eq!(refused.json()["error"], "overflow");
    assert_eq!(refused.field("retry-after"), Some("1"));
    let waits = fabric.metrics.waits("s");
    let turned_away = [Bound::Requests, Bound::Pending].map(|bound| waits.refused(bound));
    assert_eq!((turned_away, waits.waited()), ([1, 0], 0));
    // A change of the bound counts at once, for the same backend.
    fabric.rules(&rule("max_requests: 4")).await;
    load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    eventually(async || in_flight(&fabric) == 4).await;
    assert_eq!(request(to, "GET /s/", &[]).await.status, 503);
    gate.add_permits(100);
    while let Some(status) = load.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    eventually(async || in_flight(&fabric) == 0).await;
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
}

#[tokio::test]
async fn whoever_goes_away_leaves_nothing_in_flight() {
    let (origin, _gate) = held().await;
    let (fabric, proxy) = rig(&origin.value(), &rule("max_requests: 2")).await;
    let to = proxy.address();
    for _ in 0..20 {
        let mut load = JoinSet::new();
        for _ in 0..4 {
            load.spawn(async move { request(to, "GET /s/", &[]).await.status });
        }
        eventually(async || in_flight(&fabric) == 2).await;
        load.shutdown().await;
        eventually(async || in_flight(&fabric) == 0).await;
    }
}

#[tokio::test]
async fn a_time_limit_ends_a_request_in_flight() {
    let (origin, _gate) = held().await;
    let rules = "[{id: r, destination: s, route: {http_req_timeout: 0.05, \
                  backends: [{tags: [v1], resilience: {max_requests: 1}}]}}]";
    let (fabric, proxy) = rig(&origin.value(), rules).await;
    for _ in 0..3 {
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        assert_eq!((reply.status, reply.field("a8-error")), (504, Some("UT")));
    }
    eventually(async || in_flight(&fabric) == 0).await;
}
