use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, eventually, instance, request};

/// An origin that answers 500 while it is told to, and counts.
struct Moody {
    origin: Origin,
    bad: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Moody {
    async fn new() -> Self {
        let (bad, count) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (is_bad, counted): (_, Arc<AtomicUsize>) = (bad.clone(), Arc::clone(&count));
        let origin = Origin::new(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut response = Response::new(Full::from(Bytes::from_static(b"moody")));
            if is_bad.load(Ordering::SeqCst) {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            async { response }
        })
        .await;
        Self { origin, bad, count }
    }

    fn asked(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

fn rule(resilience: &str) -> String {
    format!(
        "[{{id: r, destination: s, route: {{backends: [{{tags: [v1], resilience: {{{resilience}}}}}]}}}}]"
    )
}

async fn rig(values: &[String], rules: &str) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    for value in values {
        fabric.put(instance("s", "v1", value)).await;
    }
    fabric.rules(rules).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy)
}

#[tokio::test]
async fn an_instance_that_fails_in_a_row_is_asked_no_more() {
    let bad = Moody::new().await;
    let good = Origin::echo("good").await;
    let (_fabric, proxy) = rig(&[bad.origin.value(), good.value()], &rule("")).await;
    let mut errors = 0;
    for _ in 0..40 {
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        errors += usize::from(reply.status == 500);
    }
    assert_eq!((errors, bad.asked()), (5, 5), "the default is five");
}

#[tokio::test]
async fn it_comes_back_by_itself_and_goes_again_if_it_is_no_better() {
    let bad = Moody::new().await;
    let good = Origin::echo("good").await;
    let rules = rule("consecutive_errors: 2, sleep_window: 0.2, detection_interval: 0.1");
    let (_fabric, proxy) = rig(&[bad.origin.value(), good.value()], &rules).await;
    let to = proxy.address();
    // Twice out of a row of two errors each.
    eventually(async || {
        request(to, "GET /s/", &[]).await;
        bad.asked() >= 4
    })
    .await;
    bad.bad.store(false, Ordering::SeqCst);
    eventually(async || {
        let reply = request(to, "GET /s/", &[]).await;
        assert_eq!(reply.status, 200);
        bad.asked() >= 20
    })
    .await;
}

#[tokio::test]
async fn connect_failures_count_and_the_last_half_is_never_ejected() {
    let refused = || async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (one, other) = (refused().await, refused().await);
    let rules = rule("consecutive_errors: 1");
    let good = Origin::echo("good").await;
    let (_fabric, proxy) = rig(&[one.clone(), good.value()], &rules).await;
    let mut failures = 0;
    for _ in 0..10 {
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        failures += usize::from(reply.status == 502);
    }
    assert_eq!(failures, 1);
    // Nobody is there at all: that is said, and not that there is no instance.
    let (_fabric, proxy) = rig(&[one, other], &rules).await;
    for _ in 0..10 {
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        assert_eq!((reply.status, reply.field("a8-error")), (502, Some("UF")));
    }
}

#[tokio::test]
async fn one_rules_trouble_is_not_anothers() {
    let bad = Moody::new().await;
    let good = Origin::echo("good").await;
    let rules = "[{id: r, destination: s, match: {headers: {X-A: a}}, route: {backends: [{tags: [v1], \
                   resilience: {consecutive_errors: 1}}]}}, \
                  {id: q, destination: s, route: {backends: [{tags: [v1], resilience: {consecutive_errors: 1000}}]}}]";
    let (fabric, proxy) = rig(&[bad.origin.value(), good.value()], rules).await;
    let to = proxy.address();
    for _ in 0..10 {
        request(to, "GET /s/", &[("X-A", "a")]).await;
    }
    assert_eq!(bad.asked(), 1);
    for _ in 0..10 {
        request(to, "GET /s/", &[]).await;
    }
    assert_eq!(
        bad.asked(),
        1 + 5,
        "each backend of a rule has its own (D5)"
    );
    drop(fabric);
}

#[tokio::test]
async fn faults_of_our_own_are_not_the_instances() {
    let origins = [Origin::echo("a").await, Origin::echo("b").await];
    let values = origins.each_ref().map(Origin::value);
    let rules = "[{id: r, destination: s, route: {http_req_timeout: 0.05, backends: [{tags: [v1], \
                   resilience: {consecutive_errors: 1}}]}}, \
                  {id: f, destination: s, match: {headers: {X-F: abort}}, \
                   actions: [{action: abort, return_code: 503}]}, \
                  {id: d, destination: s, match: {headers: {X-F: delay}}, \
                   actions: [{action: delay, duration: 5}]}]";
    let (fabric, proxy) = rig(&values, rules).await;
    for fault in ["abort", "delay", "abort", "delay"] {
        let reply = request(proxy.address(), "GET /s/", &[("X-F", fault)]).await;
        assert!(reply.status >= 500);
    }
    let routes = fabric.routes.load();
    for (_, _, backend) in routes.table.backends() {
        assert!(backend.ejected(std::time::Instant::now()).is_empty());
    }
}

#[tokio::test]
async fn an_instance_that_never_answers_is_ejected_too() {
    let silent = Origin::new(|_| std::future::pending()).await;
    let good = Origin::echo("good").await;
    let rules = "[{id: r, destination: s, route: {http_req_timeout: 0.3, backends: [{tags: [v1], \
                  resilience: {consecutive_errors: 2}}]}}]";
    let (_fabric, proxy) = rig(&[silent.value(), good.value()], rules).await;
    let mut late = 0;
    for _ in 0..12 {
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        late += usize::from(reply.status == 504);
    }
    assert_eq!(late, 2);
}
