//! Runs against the backend, and against what is worse than it.

use std::net::{Ipv4Addr, SocketAddr};

use a8_load::{Plan, Protocol, Summary, backend, run};
use http::{HeaderValue, header};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

struct Backend {
    http: SocketAddr,
    tcp: SocketAddr,
    _task: JoinSet<()>,
}

async fn backend() -> Backend {
    let http = TcpListener::bind(LOOPBACK).await.expect("a free port");
    let tcp = TcpListener::bind(LOOPBACK).await.expect("a free port");
    let mut task = JoinSet::new();
    let addresses = (
        http.local_addr().expect("a free port"),
        tcp.local_addr().expect("a free port"),
    );
    task.spawn(backend::accept(http, tcp));
    Backend {
        http: addresses.0,
        tcp: addresses.1,
        _task: task,
    }
}

fn plan(target: SocketAddr, protocol: Protocol) -> Plan {
    Plan {
        target,
        protocol,
        path: "/bytes/512".to_owned(),
        host: "localhost".to_owned(),
        headers: vec![(header::COOKIE, HeaderValue::from_static("a=b"))],
        connections: 2,
        streams: 1,
        rate: None,
        seconds: 0.2,
        upload: 0,
        reconnect: false,
    }
}

#[track_caller]
fn good(summary: &Summary) {
    assert!(summary.count > 0, "{summary:?}");
    assert_eq!((summary.errors, summary.non_2xx), (0, 0), "{summary:?}");
    assert!(summary.p50_us <= summary.p99_us && summary.p99_us <= summary.max_us);
}

#[tokio::test]
async fn each_protocol_is_answered() {
    let backend = backend().await;
    for protocol in [Protocol::H1, Protocol::H2, Protocol::Grpc] {
        good(&run(plan(backend.http, protocol)).await.unwrap());
    }
    let mut bytes = plan(backend.tcp, Protocol::Tcp);
    bytes.upload = 512;
    good(&run(bytes).await.unwrap());
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let backend = backend().await;
    for protocol in [Protocol::H1, Protocol::H2, Protocol::Grpc] {
        let mut large = plan(backend.http, protocol);
        large.path = "/bytes/1048576".to_owned();
        large.upload = 65536;
        good(&run(large).await.unwrap());
    }
}

#[tokio::test]
async fn a_connection_of_http2_carries_several_requests() {
    let backend = backend().await;
    let mut many = plan(backend.http, Protocol::H2);
    many.streams = 8;
    good(&run(many).await.unwrap());
}

#[tokio::test]
async fn each_request_can_have_its_own_connection() {
    let backend = backend().await;
    for protocol in [Protocol::H1, Protocol::Grpc] {
        let mut short = plan(backend.http, protocol);
        short.reconnect = true;
        good(&run(short).await.unwrap());
    }
}

#[tokio::test]
async fn a_rate_is_kept_to_the_request() {
    let backend = backend().await;
    let mut paced = plan(backend.http, Protocol::H1);
    paced.rate = Some(250.0);
    let summary = run(paced).await.unwrap();
    good(&summary);
    assert_eq!(summary.count, 50);
}

#[tokio::test]
async fn what_waits_for_a_connection_counts_as_waiting() {
    // One connection and a backend that never answers: all but one request never leave.
    let silent = TcpListener::bind(LOOPBACK).await.unwrap();
    let mut paced = plan(silent.local_addr().unwrap(), Protocol::H1);
    paced.connections = 1;
    paced.rate = Some(100.0);
    let answered = JoinSet::from_iter([async move {
        let (mut stream, _) = silent.accept().await.unwrap();
        // The first request is answered when the others have long been due.
        let _ = stream.read(&mut [0; 1024]).await;
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        loop {
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
            if stream.read(&mut [0; 1024]).await.unwrap_or(0) == 0 {
                return;
            }
        }
    }]);
    let summary = run(paced).await.unwrap();
    drop(answered);
    assert_eq!(summary.count, 20, "{summary:?}");
    // The last of them was due after 190 ms, and so waited for at least 210.
    assert!(summary.p50_us > 200_000, "{summary:?}");
}

#[tokio::test]
async fn other_answers_and_failures_are_counted() {
    let backend = backend().await;
    let mut absent = plan(backend.http, Protocol::H1);
    absent.path = "/absent".to_owned();
    let summary = run(absent).await.unwrap();
    assert!(summary.non_2xx > 0 && summary.non_2xx == summary.count);
    assert_eq!(summary.first_problem.as_deref(), Some("status 404"));

    let rude = TcpListener::bind(LOOPBACK).await.unwrap();
    let target = rude.local_addr().unwrap();
    let closing = JoinSet::from_iter([async move {
        while let Ok((stream, _)) = rude.accept().await {
            drop(stream);
        }
    }]);
    let summary = run(plan(target, Protocol::H1)).await.unwrap();
    assert!(summary.errors > 0 && summary.count == 0, "{summary:?}");
    drop(closing);
}

#[tokio::test]
async fn a_listener_that_is_not_there_is_an_error() {
    let gone = TcpListener::bind(LOOPBACK).await.unwrap();
    let target = gone.local_addr().unwrap();
    drop(gone);
    let error = run(plan(target, Protocol::H1)).await.unwrap_err();
    assert!(error.to_string().contains("cannot connect"), "{error}");
}
