//! The listener, over real sockets.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{api, server};
use crate::http::*;

/// A server on a free port of loopback.
struct Running {
    address: SocketAddr,
    stop: Stop,
    task: JoinSet<()>,
}

impl Running {
    async fn start(limits: Limits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Server {
            limits: limits.clone(),
            ..server()
        };
        let stop = server.stop.clone();
        let router = server.router(api());
        let ends = stop.clone();
        let mut task = JoinSet::new();
        let hands = Some(Hands::start().expect("threads"));
        task.spawn(async move { serve(listener, router, &limits, ends, grace, hands).await });
        Self {
            address,
            stop,
            task,
        }
    }

    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    async fn ends(mut self) {
        let ended = soon(self.task.join_next()).await;
        ended.expect("one task").expect("no panic");
    }
}

/// What a busy machine, too, manages in time.
async fn soon<F: Future>(work: F) -> F::Output {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, work).await.expect("in time")
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends the reading too; what came before it is what counts.
    let _ = soon(stream.read_to_end(&mut text)).await;
    String::from_utf8(text).expect("UTF-8")
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 1024];
        let n = soon(stream.read(&mut buffer)).await.expect("read");
        assert!(n > 0, "ended early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).expect("ASCII"));
    }
    text
}

const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let slow = server.connect("GET / HTTP/1.1\r\nHost:").await;
    let text = read_all(slow).await;
    assert!(text.is_empty() || text.contains("408"), "{text}");
}

/// One request and its answer.
const ASK: &str = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";

async fn ask(stream: &mut TcpStream) {
    stream.write_all(ASK.as_bytes()).await.expect("written");
    read_until(stream, "true}").await;
}

#[tokio::test]
async fn a_kept_connection_may_idle_for_longer_than_a_head_may_take() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let mut kept = server.connect("").await;
    ask(&mut kept).await;
    // The time of a head passes: another connection is cut meanwhile.
    read_all(server.connect("GET / HTTP/1.1\r\n").await).await;
    ask(&mut kept).await;
    // But the next head, once begun, has no longer than any.
    kept.write_all(b"GET /hea").await.expect("written");
    assert_eq!(read_all(kept).await, "");
}

#[tokio::test]
async fn a_kept_connection_idles_for_as_long_as_is_said() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let mut kept = server.connect("").await;
    ask(&mut kept).await;
    assert_eq!(read_all(kept).await, "");
}

#[tokio::test]
async fn who_stops_reading_loses_the_connection() {
    let limits = Limits {
        connections: 1,
        stall_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let _stalled = server
        .connect("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    // There is room for one connection only: the first one's has to go.
    ask(&mut server.connect("").await).await;
}

#[tokio::test]
async fn who_does_not_read_does_not_keep_a_server_from_ending() {
    let server = Running::start(Limits::default(), Duration::MAX).await;
    let mut stalled = server
        .connect("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut stalled, "xxx").await;
    server.stop.fire();
    server.ends().await;
}

#[tokio::test]
async fn a_quiet_stream_is_no_stalled_one() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        stall_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let mut quiet = server
        .connect("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut quiet, "first").await;
    for _ in 0..3 {
        read_all(server.connect("GET / HTTP/1.1\r\n").await).await;
    }
    server.stop.fire();
    assert!(read_all(quiet).await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let limits = Limits {
        head: 8192,
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(8192));
    let text = read_all(server.connect(&head).await).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn connections_over_the_bound_wait() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let ask = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = server.connect(ask).await;
    read_until(&mut first, "true}").await;
    let mut second = server.connect(ask).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second has to wait");
    drop(first);
    read_until(&mut second, "true}").await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_streams_at_once() {
    let server = Running::start(Limits::default(), GRACE).await;
    let mut idle = server
        .connect("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut idle, "true}").await;
    let mut watch = server
        .connect("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut watch, "first").await;
    server.stop.fire();
    assert_eq!(read_all(idle).await, "");
    // The end of a chunked body, so that the reader knows that nothing is missing.
    assert!(read_all(watch).await.ends_with("0\r\n\r\n"));
    let address = server.address;
    server.ends().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let server = Running::start(Limits::default(), Duration::from_millis(50)).await;
    let mut slow = server
        .connect("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    // The answer to a second connection says that the first has been accepted.
    let mut probe = server
        .connect("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut probe, "true}").await;
    server.stop.fire();
    server.ends().await;
    let mut byte = [0];
    assert!(!matches!(soon(slow.read(&mut byte)).await, Ok(n) if n > 0));
}

#[tokio::test]
async fn a_port_in_use_is_told_apart() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = held.local_addr().expect("bound");
    let found = listen(address).await.expect_err("in use");
    assert!(matches!(found, ListenError::InUse { .. }), "{found}");
    let nowhere = "192.0.2.1:0".parse().expect("an address");
    let found = listen(nowhere)
        .await
        .expect_err("not an address of this machine");
    assert!(matches!(found, ListenError::Other { .. }), "{found}");
}
