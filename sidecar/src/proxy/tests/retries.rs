use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, Scripted, instance, raw, request};

const TWICE: &str =
    "[{id: r, destination: s, route: {http_req_retries: 2, backends: [{tags: [v1]}]}}]";

/// Answers 503, and counts.
async fn failing() -> (Origin, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = Origin::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            let mut response = Response::new(Full::from(Bytes::from_static(b"theirs")));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
    })
    .await;
    (origin, count)
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
async fn nothing_is_resent_unless_asked() {
    let (origin, count) = failing().await;
    let (_fabric, proxy) = rig(&[origin.value()], "[]").await;
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "theirs"));
    assert_eq!(reply.field("a8-error"), None, "it is the instance's answer");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn as_many_attempts_are_made_as_asked_for_and_the_last_answer_counts() {
    let (origin, count) = failing().await;
    let (fabric, proxy) = rig(&[origin.value()], TWICE).await;
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.body.as_str()), (503, "theirs"));
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(fabric.metrics.retries.get(), 2);
}

#[tokio::test]
async fn another_attempt_goes_to_another_instance() {
    let (bad, _) = failing().await;
    let good = Origin::echo("good").await;
    let (_fabric, proxy) = rig(&[bad.value(), good.value()], TWICE).await;
    for _ in 0..10 {
        assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn a_post_is_resent_only_when_nothing_was_sent() {
    // Answered with an error: it has been seen.
    let (origin, count) = failing().await;
    let (_fabric, proxy) = rig(&[origin.value()], TWICE).await;
    assert_eq!(request(proxy.address(), "POST /s/", &[]).await.status, 503);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // Reset after it was read: it may have been acted upon.
    let resetting = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let (_fabric, proxy) = rig(&[resetting.value()], TWICE).await;
    assert_eq!(request(proxy.address(), "POST /s/", &[]).await.status, 502);
    assert_eq!(resetting.connections(), 1);
    // Whereas a GET may be repeated.
    assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 502);
    assert_eq!(resetting.connections(), 1 + 3);
    // Never connected: nobody has seen it.
    let good = Origin::echo("good").await;
    let refused = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let (_fabric, proxy) = rig(&[refused, good.value()], TWICE).await;
    for _ in 0..6 {
        assert_eq!(request(proxy.address(), "POST /s/", &[]).await.status, 200);
    }
}

#[tokio::test]
async fn a_small_body_is_sent_again_whole_and_a_large_one_not_at_all() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = seen.clone();
    // The first attempt of each request fails after the body was read.
    let origin = Origin::new(move |request| {
        let counted = counted.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
            let mut response = Response::new(Full::from(format!("{} {sum}", body.len())));
            if first {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            response
        }
    })
    .await;
    let (_fabric, proxy) = rig(&[origin.value()], TWICE).await;
    let put = |size: usize| {
        let body = "a".repeat(size);
        format!(
            "PUT /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n{body}"
        )
    };
    let reply = raw(proxy.address(), &put(60_000)).await.unwrap();
    assert_eq!(reply.body, format!("60000 {}", 60_000 * 97));
    assert_eq!((reply.status, seen.load(Ordering::SeqCst)), (200, 2));
    seen.store(0, Ordering::SeqCst);
    let reply = raw(proxy.address(), &put(70_000)).await.unwrap();
    assert_eq!((reply.status, seen.load(Ordering::SeqCst)), (500, 1));
}

#[tokio::test]
async fn an_injected_abort_counts_as_a_failed_attempt() {
    let origin = Origin::echo("s").await;
    let rules = "[{id: r, destination: s, route: {http_req_retries: 2, backends: [{tags: [v1]}]}}, \
                 {id: f, destination: s, actions: [{action: abort, return_code: 503, probability: 1}]}]";
    let (fabric, proxy) = rig(&[origin.value()], rules).await;
    let (to, retries) = (proxy.address(), || fabric.metrics.retries.get());
    let reply = request(to, "POST /s/", &[]).await;
    assert_eq!((reply.status, reply.field("a8-error")), (503, Some("FI")));
    assert_eq!(retries(), 2);
}

#[tokio::test]
async fn retries_stay_within_a_fifth_of_the_load() {
    let (origin, count) = failing().await;
    let (fabric, proxy) = rig(&[origin.value()], TWICE).await;
    let to = proxy.address();
    let mut load = JoinSet::new();
    for _ in 0..100 {
        load.spawn(async move { request(to, "GET /s/", &[]).await });
    }
    while let Some(reply) = load.join_next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (503, "theirs"));
    }
    let retries = count.load(Ordering::SeqCst) - 100;
    // The reserve of 25, and what 100 requests pay for; how much of the reserve has come
    // back meanwhile depends on the time this takes.
    assert!((45..145).contains(&retries), "{retries}");
    assert_eq!(fabric.metrics.retries.get(), retries as u64);
    assert!(fabric.metrics.retries_denied.get() > 0);
}

#[tokio::test]
async fn a_body_that_is_sent_again_buys_no_time() {
    // Each attempt takes less than the limit, all of them more.
    let origin = Origin::new(|request| async {
        let _ = request.into_body().collect().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
    .await;
    let rules = "[{id: r, destination: s, route: {http_req_retries: 8, \
        http_req_timeout: 1, backends: [{tags: [v1]}]}}]";
    let (_fabric, proxy) = rig(&[origin.value()], rules).await;
    for framing in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let text = format!("PUT /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}");
        let reply = raw(proxy.address(), &text).await.unwrap();
        assert_eq!((reply.status, reply.field("a8-error")), (504, Some("UT")));
    }
}
