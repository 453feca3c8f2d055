use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::proxy::{self, AccessLog, Listen};
use crate::testkit::{DEADLINE, Fabric, Origin, eventually, instance, request, settings};

#[tokio::test]
async fn requests_in_flight_end_and_idle_connections_close() {
    let origin = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Response::new(Full::from("done"))
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let mut idle = TcpStream::connect(to).await.unwrap();
    let mut busy = TcpStream::connect(to).await.unwrap();
    busy.write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let asked = async {
        while origin.connections() == 0 || fabric.metrics.callers.get() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap();
    proxy.drain(DEADLINE).await;
    let mut text = String::new();
    busy.read_to_string(&mut text).await.unwrap();
    assert!(text.ends_with("done"), "{text}");
    assert!(
        text.to_ascii_lowercase().contains("connection: close"),
        "{text}"
    );
    assert_eq!(
        idle.read(&mut [0; 8]).await.unwrap(),
        0,
        "closed without a word"
    );
    assert!(TcpStream::connect(to).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let mut busy = TcpStream::connect(proxy.address()).await.unwrap();
    busy.write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let asked = async {
        while origin.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap();
    let began = Instant::now();
    proxy.drain(Duration::from_millis(200)).await;
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "well before the request's own limit"
    );
}

#[tokio::test]
async fn several_workers_share_a_port_that_no_stranger_can_share() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let config = |listen| proxy::Config {
        listen,
        workers: 3,
        ..settings()
    };
    let start = |listen| {
        proxy::start(
            config(listen),
            fabric.routes.clone(),
            fabric.metrics.clone(),
            &fabric.tasks,
        )
    };
    let first = start(Listen::Any(0)).unwrap();
    // Callers wait until it is opened, and are not refused.
    let early = request(
        std::net::SocketAddr::from(([127, 0, 0, 1], first.address().port())),
        "GET /s/",
        &[],
    );
    let (early, ()) = tokio::join!(early, async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        first.open();
    });
    assert_eq!(early.status, 200);
    let port = first.address().port();
    let to = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    for _ in 0..20 {
        assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
    }
    let second = start(Listen::Any(port)).map(drop);
    assert!(matches!(second, Err(proxy::StartError::Bind { .. })));
    first.drain(DEADLINE).await;
    start(Listen::Any(port)).unwrap();
}

#[tokio::test]
async fn a_moment_without_requests_is_waited_for_while_new_ones_are_served() {
    let gate = Arc::new(Notify::new());
    let held = gate.clone();
    let origin = Origin::new(move |request| {
        let held = held.clone();
        async move {
            if request.uri().path() == "/held" {
                held.notified().await;
            }
            Response::new(Full::from("done"))
        }
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.start(proxy::Config {
        workers: 2,
        ..settings()
    });
    let to = proxy.address();
    // A connection without a request is none.
    let _idle = TcpStream::connect(to).await.unwrap();
    let mut busy = TcpStream::connect(to).await.unwrap();
    busy.write_all(b"GET /s/held HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    eventually(async || origin.connections() > 0).await;
    let early = Duration::from_millis(100);
    let mut quiet = Box::pin(proxy.quiet(DEADLINE));
    assert!(tokio::time::timeout(early, &mut quiet).await.is_err());
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
    assert!(tokio::time::timeout(early, &mut quiet).await.is_err());
    gate.notify_one();
    quiet.await;
    // Nothing has ended by that.
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
    busy.write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut text = [0; 4096];
    assert!(busy.read(&mut text).await.unwrap() > 0);
    proxy.drain(DEADLINE).await;
    assert!(TcpStream::connect(to).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn who_is_asked_to_leave_is_served_and_comes_with_another_connection() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let mut kept = TcpStream::connect(to).await.unwrap();
    let ask = b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n";
    kept.write_all(ask).await.unwrap();
    let mut first = vec![0; 4096];
    let n = kept.read(&mut first).await.unwrap();
    let close = |text: &str| text.to_ascii_lowercase().contains("connection: close");
    assert!(!close(&String::from_utf8_lossy(&first[..n])));
    proxy.leave();
    // The one that is idle was not closed for it, and a new one is accepted.
    for mut connection in [kept, TcpStream::connect(to).await.unwrap()] {
        connection.write_all(ask).await.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200") && close(&text), "{text}");
    }
    proxy.drain(DEADLINE).await;
}
