//! Bounds on connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::http2::speaking_http2;
use crate::proxy::limits::Bound;
use crate::proxy::{self, AccessLog, Backend, Proxy};
use crate::testkit::{Fabric, Origin, Scripted, eventually, instance, request, settings};

fn rule(resilience: &str) -> String {
    format!(
        "[{{id: r, destination: s, route: {{http_req_timeout: 30, \
          backends: [{{tags: [v1], resilience: {{{resilience}}}}}]}}}}]"
    )
}

async fn rig(values: &[String], resilience: &str, workers: usize) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    for value in values {
        fabric.put(instance("s", "v1", value)).await;
    }
    fabric.rules(&rule(resilience)).await;
    let proxy = fabric.start(proxy::Config {
        workers,
        ..settings()
    });
    (fabric, proxy)
}

fn backend(fabric: &Fabric) -> Arc<Backend> {
    let routes = fabric.routes.load();
    let found = routes.table.backends().next();
    found.unwrap().2.clone()
}

/// An origin that answers as slowly as tasks change.
async fn slow() -> Origin {
    Origin::new(|_| async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        Response::new(Full::from(Bytes::from_static(b"slow")))
    })
    .await
}

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

/// So many callers with so many requests each; all are served, and at no moment that we look
/// at are there more connections than allowed.
async fn load(fabric: &Fabric, proxy: &Proxy, callers: usize, each: usize, most: usize) {
    let (to, backend) = (proxy.address(), backend(fabric));
    let mut load = JoinSet::new();
    for _ in 0..callers {
        load.spawn(async move {
            for _ in 0..each {
                let reply = request(to, "GET /s/", &[]).await;
                assert_eq!(reply.status, 200, "{}", reply.body);
            }
        });
    }
    let done = AtomicUsize::new(0);
    let watch = async {
        while done.load(Ordering::SeqCst) == 0 {
            let members = backend.members();
            let open: u32 = members.usable.iter().map(|u| u.open()).sum();
            assert!(open as usize <= most, "{open} are open");
            assert!(backend.connections().0 <= most);
            tokio::task::yield_now().await;
        }
    };
    let join = async {
        while let Some(ended) = load.join_next().await {
            ended.unwrap();
        }
        done.store(1, Ordering::SeqCst);
    };
    tokio::join!(watch, join);
    eventually(async || backend.connections().1 == 0 && backend.in_flight() == 0).await;
}

#[tokio::test]
async fn many_requests_share_few_connections_which_are_kept() {
    let origin = slow().await;
    let (fabric, proxy) = rig(&[origin.value()], "max_connections: 2", 1).await;
    load(&fabric, &proxy, 40, 5, 2).await;
    assert_eq!(origin.connections(), 2, "they were handed on");
}

#[tokio::test]
async fn no_worker_starves_and_the_bound_holds_over_all_of_them() {
    let origin = slow().await;
    for most in [1, 2, 5] {
        let bound = format!("max_connections: {most}");
        let (fabric, proxy) = rig(&[origin.value()], &bound, 3).await;
        load(&fabric, &proxy, 30, 10, most).await;
        // One after the other, on whichever worker: what lies idle on one goes to another.
        for _ in 0..30 {
            assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
        }
    }
}

#[tokio::test]
async fn instances_share_the_bound_and_none_is_left_out() {
    let count = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
    let mut origins = Vec::new();
    for count in &count {
        let count = count.clone();
        let origin = Origin::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Response::new(Full::from(Bytes::from_static(b"x"))) }
        });
        origins.push(origin.await);
    }
    let values: Vec<_> = origins.iter().map(Origin::value).collect();
    let (fabric, proxy) = rig(&values, "max_connections: 1", 1).await;
    for _ in 0..12 {
        assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    }
    let each = count.each_ref().map(|c| c.load(Ordering::SeqCst));
    assert_eq!(each, [4, 4, 4]);
    load(&fabric, &proxy, 20, 5, 1).await;
}

#[tokio::test]
async fn beyond_the_most_that_may_wait_there_is_a_quick_no() {
    let (origin, gate) = held().await;
    let bounds = "max_connections: 1, max_pending_requests: 2";
    let (fabric, proxy) = rig(&[origin.value()], bounds, 1).await;
    let (to, backend) = (proxy.address(), backend(&fabric));
    let mut load = JoinSet::new();
    for _ in 0..3 {
        load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    eventually(async || backend.connections() == (1, 2)).await;
    let refused = request(to, "GET /s/", &[]).await;
    assert_eq!(
        (refused.status, refused.field("a8-error")),
        (503, Some("UO"))
    );
    assert!(
        refused.body.contains("max_pending_requests"),
        "{}",
        refused.body
    );
    let waits = &backend.waits;
    assert_eq!((waits.now.get(), waits.waited()), (2, 0));
    let turned_away = [Bound::Requests, Bound::Pending].map(|bound| waits.refused(bound));
    assert_eq!(turned_away, [0, 1]);
    gate.add_permits(100);
    while let Some(status) = load.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
    assert_eq!((origin.connections(), backend.connections()), (1, (1, 0)));
    assert_eq!((waits.now.get(), waits.waited()), (0, 2));
}

#[tokio::test]
async fn waiting_ends_with_the_time_limit_and_with_the_caller() {
    let (origin, gate) = held().await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let rules = rule("max_connections: 1, consecutive_errors: 1");
    let slow = rules.replace("http_req_timeout: 30", "http_req_timeout: 0.1");
    fabric.rules(&rules).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (to, backend) = (proxy.address(), backend(&fabric));
    let mut first = JoinSet::new();
    first.spawn(async move { request(to, "GET /s/", &[]).await.status });
    eventually(async || backend.connections() == (1, 0)).await;
    // Callers that go away.
    let mut gone = JoinSet::new();
    for _ in 0..10 {
        gone.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    eventually(async || backend.connections() == (1, 10)).await;
    gone.shutdown().await;
    eventually(async || backend.connections() == (1, 0)).await;
    // And one that is patient for longer than the rule.
    fabric.rules(&slow).await;
    let late = request(to, "GET /s/", &[]).await;
    assert_eq!((late.status, late.field("a8-error")), (504, Some("UT")));
    assert_eq!(backend.connections(), (1, 0));
    gate.add_permits(100);
    assert_eq!(first.join_next().await.unwrap().unwrap(), 200);
    fabric.rules(&rules).await;
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_connection_carries_so_many_requests_and_no_more() {
    let origin = Origin::echo("s").await;
    let bounds = "max_requests_per_connection: 3";
    let (fabric, proxy) = rig(&[origin.value()], bounds, 1).await;
    for _ in 0..9 {
        assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    }
    assert_eq!(origin.connections(), 3);
    eventually(async || backend(&fabric).connections() == (0, 0)).await;
}

#[tokio::test]
async fn a_connection_that_fails_or_is_never_made_gives_its_place_to_the_next() {
    // Closes every connection after one request, without an answer to the first two.
    let origin = Scripted::new(|mut stream, number| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        if number >= 2 {
            let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
            let _ = stream.write_all(text).await;
        }
    })
    .await;
    let (fabric, proxy) = rig(&[origin.value()], "max_connections: 1", 1).await;
    let to = proxy.address();
    let mut load = JoinSet::new();
    for _ in 0..20 {
        load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    let mut statuses: Vec<u16> = load.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [&[200; 18][..], &[502; 2]].concat());
    eventually(async || backend(&fabric).connections() == (0, 0)).await;
    // Nobody listens at all.
    drop(origin);
    for _ in 0..3 {
        assert_eq!(request(to, "GET /s/", &[]).await.status, 502);
    }
    assert_eq!(backend(&fabric).connections(), (0, 0));
}

#[tokio::test]
async fn each_backend_has_its_own_connections() {
    let (origin, gate) = held().await;
    let rules = "[{id: a, destination: s, match: {headers: {X-A: a}}, route: {backends: [{tags: [v1], \
                   resilience: {max_connections: 1}}]}}, \
                  {id: b, destination: s, route: {backends: [{tags: [v1], \
                   resilience: {max_connections: 1, max_pending_requests: 1}}]}}]";
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    fabric.rules(rules).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let of = |rule: &str| {
        let routes = fabric.routes.load();
        let mut all = routes.table.backends();
        let found = all.find(|(r, ..)| r.id().as_str() == rule);
        found.unwrap().2.connections()
    };
    let mut load = JoinSet::new();
    for fields in [&[("X-A", "a")][..], &[]] {
        load.spawn(async move { request(to, "GET /s/", fields).await.status });
    }
    eventually(async || (of("a"), of("b")) == ((1, 0), (1, 0))).await;
    gate.add_permits(100);
    while let Some(status) = load.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(origin.connections(), 2);
    // Each goes on with what it has, whoever used it last.
    for _ in 0..5 {
        for fields in [&[("X-A", "a")][..], &[]] {
            assert_eq!(request(to, "GET /s/", fields).await.status, 200);
        }
    }
    assert_eq!(
        (origin.connections(), of("a"), of("b")),
        (2, (1, 0), (1, 0))
    );
}

#[tokio::test]
async fn exchanges_share_a_connection_in_http2() {
    let origin = Origin::http2(|_| async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        Response::new(Full::from(Bytes::from_static(b"two")))
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    fabric.rules(&rule("max_connections: 1")).await;
    let proxy = fabric.proxy(AccessLog::Off);
    load(&fabric, &proxy, 150, 3, 1).await;
    assert_eq!(origin.connections(), 1);
    assert_eq!(backend(&fabric).connections(), (1, 0));
}

/// An origin in HTTP/2 whose answers wait until they are let go, and how many were asked for.
async fn held_http2() -> (Origin, Arc<Semaphore>, Arc<AtomicUsize>) {
    let (gate, count) = (Arc::new(Semaphore::new(0)), Arc::default());
    let (keeper, counter): (_, Arc<AtomicUsize>) = (gate.clone(), Arc::clone(&count));
    let origin = Origin::http2(move |_| {
        let (gate, count) = (keeper.clone(), counter.clone());
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            Response::new(Full::from(Bytes::from_static(b"two")))
        }
    })
    .await;
    (origin, gate, count)
}

#[tokio::test]
async fn a_burst_opens_no_more_connections_in_http2_than_it_needs() {
    let (origin, gate, count) = held_http2().await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    fabric.rules(&rule("")).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let mut load = JoinSet::new();
    for _ in 0..350 {
        load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    eventually(async || count.load(Ordering::SeqCst) == 350).await;
    assert_eq!(origin.connections(), 4, "each carries a hundred");
    gate.add_permits(350);
    assert_eq!(load.join_all().await, vec![200; 350]);
}

#[tokio::test]
async fn a_place_in_http2_whose_caller_goes_away_goes_to_the_next() {
    let (origin, gate, count) = held_http2().await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    fabric.rules(&rule("max_connections: 1")).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (to, backend) = (proxy.address(), backend(&fabric));
    let mut gone = JoinSet::new();
    gone.spawn(async move { request(to, "GET /s/", &[]).await.status });
    eventually(async || count.load(Ordering::SeqCst) == 1).await;
    let mut load = JoinSet::new();
    for _ in 0..101 {
        load.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    eventually(async || count.load(Ordering::SeqCst) == 100).await;
    eventually(async || backend.connections() == (1, 2)).await;
    gone.shutdown().await;
    eventually(async || count.load(Ordering::SeqCst) == 101).await;
    assert_eq!(backend.connections(), (1, 1));
    gate.add_permits(200);
    assert_eq!(load.join_all().await, vec![200; 101]);
    assert_eq!((origin.connections(), backend.connections()), (1, (1, 0)));
}
