use std::time::Instant;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, instance, raw, request};

async fn rig(rules: &str) -> (Fabric, Proxy, Origin) {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    fabric.rules(rules).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy, origin)
}

#[tokio::test]
async fn an_abort_answers_in_the_instances_place() {
    let (_fabric, proxy, origin) =
        rig("[{destination: s, actions: [{action: abort, return_code: 418}]}]").await;
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!(reply.status, 418);
    assert_eq!(reply.field("a8-error"), Some("FI"));
    assert_eq!(reply.json()["error"], "fault_injected");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn an_abort_may_close_without_an_answer() {
    for code in ["0", "-5"] {
        let (_fabric, proxy, _origin) = rig(&format!(
            "[{{destination: s, actions: [{{action: abort, return_code: {code}}}]}}]"
        ))
        .await;
        let reply = raw(proxy.address(), "GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(reply.is_none(), "{code}: {reply:?}");
    }
}

#[tokio::test]
async fn a_delay_holds_a_request_back_and_runs_against_its_limit() {
    let (mut fabric, proxy, _origin) =
        rig("[{destination: s, actions: [{action: delay, duration: 0.3}]}]").await;
    let began = Instant::now();
    assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    assert!(began.elapsed().as_secs_f64() >= 0.3);
    fabric
        .rules(
            "[{destination: s, actions: [{action: delay, duration: 30}]}, \
             {destination: s, route: {http_req_timeout: 0.2, backends: [{tags: [v1]}]}}]",
        )
        .await;
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.field("a8-error")), (504, Some("UT")));
}

#[tokio::test]
async fn weights_and_matches_hold_through_the_proxy() {
    let (v1, v2) = (Origin::echo("v1").await, Origin::echo("v2").await);
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &v1.value())).await;
    fabric.put(instance("s", "v2", &v2.value())).await;
    fabric
        .rules(
            "[{id: split, destination: s, route: {backends: [{tags: [v2], weight: 0.25}, {tags: [v1]}]}}, \
             {id: jason, priority: 5, destination: s, match: {source: {name: web, tags: [v1]}, headers: {Cookie: '.*user=jason.*'}}, \
              route: {backends: [{tags: [v2]}]}}, \
             {id: nobody, priority: 9, destination: s, match: {source: {name: other}}, route: {backends: [{tags: [v3]}]}}]",
        )
        .await;
    let proxy = fabric.proxy(AccessLog::Off);
    let mut second = 0;
    for _ in 0..400 {
        second += u32::from(
            request(proxy.address(), "GET /s/", &[])
                .await
                .body
                .starts_with("v2"),
        );
    }
    // Five deviations on either side.
    assert!((57..=143).contains(&second), "{second}");
    for _ in 0..20 {
        let reply = request(proxy.address(), "GET /s/", &[("Cookie", "a=1; user=jason")]).await;
        assert!(reply.body.starts_with("v2"));
    }
}
