//! TCP proxies of real sidecars: shares, changes, ends of all kinds, and memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::process::Process;
use a8_tests::{ports, wait};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A server in the test's own process. It ends with the test.
struct Backend {
    port: u16,
    _task: JoinSet<()>,
}

impl Backend {
    async fn new<F, R>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream));
            }
        });
        Self { port, _task: task }
    }

    /// Says its name of two letters, then sends back whatever it gets.
    async fn echo(name: &'static str) -> Self {
        Self::new(move |mut stream| async move {
            let _ = stream.write_all(name.as_bytes()).await;
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        })
        .await
    }
}

/// A fabric with a service `echo`, and a way in to it.
struct Rig {
    fabric: Fabric,
    gateway: Sidecar,
    way_in: SocketAddr,
    instances: usize,
}

impl Rig {
    async fn new(more: &str) -> Self {
        let fabric = Fabric::start().await;
        let (gateway, way_in) = fabric.gateway_to("echo", more).await;
        Self {
            fabric,
            gateway,
            way_in,
            instances: 0,
        }
    }

    async fn register(&mut self, version: &str, port: u16) {
        let instance = json!({
            "service_name": "echo",
            "endpoint": {"type": "tcp", "value": format!("127.0.0.1:{port}")},
            "tags": [version],
            "ttl": 300,
        });
        let registry = &self.fabric.registry;
        registry
            .post("/api/v1/instances", &instance)
            .await
            .expect(201);
        self.instances += 1;
        self.settled().await;
    }

    /// Creates rules with POST, changes them with PUT.
    async fn rules(&self, method: Method, rules: Value) {
        let call = self.fabric.controller.call(method, "/v1/rules");
        let reply = call.json(&rules).send().await;
        assert!(reply.status.is_success(), "{reply:?}");
        self.settled().await;
    }

    async fn settled(&self) {
        self.fabric.settled(&[&self.gateway], self.instances).await;
    }

    /// A new connection, and the name that the instance says.
    async fn connect(&self) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.way_in).await.unwrap();
        let mut name = [0; 2];
        let read = timeout(wait::PATIENCE, stream.read_exact(&mut name));
        read.await.unwrap().unwrap();
        (stream, String::from_utf8_lossy(&name).into_owned())
    }

    /// The lines of the access log, once there are `count`.
    async fn lines(&self, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} lines"), || async {
            let out = self.gateway.process.stdout();
            let lines = out.lines().filter_map(|l| serde_json::from_str(l).ok());
            let lines: Vec<Value> = lines.collect();
            match lines.len() {
                n if n == count => Ok(lines),
                _ => Err(out),
            }
        })
        .await
    }
}

fn split(v1: f64, v2: f64) -> Value {
    let backend = |tag: &str, weight: f64| json!({"tags": [tag], "weight": weight});
    json!({"rules": [{"id": "split", "destination": "echo",
        "route": {"backends": [backend("v1", v1), backend("v2", v2)]}}]})
}

/// Everything that comes until the end.
async fn rest(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = timeout(wait::PATIENCE, stream.read_to_end(&mut all));
    read.await.unwrap().map(|_| all)
}

#[tokio::test]
async fn connections_are_shared_by_weight_and_new_ones_follow_a_change() {
    let (v1, v2) = (Backend::echo("v1").await, Backend::echo("v2").await);
    let mut rig = Rig::new("").await;
    // One is registered by a sidecar of its own, the other by hand.
    let _sidecar = rig.fabric.tcp_service("echo", "v1", v1.port).await;
    rig.instances += 1;
    rig.register("v2", v2.port).await;
    let backends =
        json!([{"tags": ["version=v1"], "weight": 0.75}, {"tags": ["v2"], "weight": 0.25}]);
    rig.rules(
        Method::POST,
        json!({"rules": [{"id": "split", "destination": "echo",
        "route": {"backends": backends}}]}),
    )
    .await;
    let mut to_v2 = 0;
    for _ in 0..400 {
        to_v2 += usize::from(rig.connect().await.1 == "v2");
    }
    // Six standard deviations are 52.
    assert!((48..=152).contains(&to_v2), "{to_v2} of 400, not about 100");
    let (mut old, _) = loop {
        let (stream, name) = rig.connect().await;
        if name == "v1" {
            break (stream, name);
        }
    };
    rig.rules(Method::PUT, split(0.0, 1.0)).await;
    for _ in 0..20 {
        assert_eq!(rig.connect().await.1, "v2");
    }
    old.write_all(b"still v1").await.unwrap();
    old.shutdown().await.unwrap();
    assert_eq!(rest(&mut old).await.unwrap(), b"still v1");
}

#[tokio::test]
async fn each_side_may_end_first_and_go_on_listening() {
    // Answers only after it has got everything.
    let late = Backend::new(|mut stream| async move {
        let mut all = Vec::new();
        stream.write_all(b"ok").await.unwrap();
        stream.read_to_end(&mut all).await.unwrap();
        let answer = format!("{} bytes", all.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut rig = Rig::new("").await;
    rig.register("v1", late.port).await;
    let (mut caller, _) = rig.connect().await;
    caller.write_all(&[7; 100_000]).await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(rest(&mut caller).await.unwrap(), b"100000 bytes");
    // Has said all at once, and then listens to the end.
    let heard = Arc::new(AtomicU64::new(0));
    let sum = heard.clone();
    let early = Backend::new(move |mut stream| {
        let sum = sum.clone();
        async move {
            let mut all = Vec::new();
            stream.write_all(b"okbye").await.unwrap();
            stream.shutdown().await.unwrap();
            stream.read_to_end(&mut all).await.unwrap();
            sum.store(all.len() as u64, Ordering::SeqCst);
        }
    })
    .await;
    rig.register("v2", early.port).await;
    rig.rules(Method::POST, split(0.0, 1.0)).await;
    let (mut caller, _) = rig.connect().await;
    assert_eq!(rest(&mut caller).await.unwrap(), b"bye");
    caller.write_all(&[7; 100_000]).await.unwrap();
    caller.shutdown().await.unwrap();
    wait::until("all to be heard", || async {
        match heard.load(Ordering::SeqCst) {
            100_000 => Ok(()),
            n => Err(n.to_string()),
        }
    })
    .await;
    for line in rig.lines(2).await {
        assert_eq!(line["bytes_in"], 100_000, "{line}");
        assert_eq!(line["end"], "closed");
        assert_eq!(line["response_flags"], "-");
    }
}

#[tokio::test]
async fn a_server_that_closes_altogether_ends_the_connection() {
    let closing = Backend::new(|mut stream| async move {
        let _ = stream.write_all(b"ok, bye").await;
    })
    .await;
    let mut rig = Rig::new("").await;
    rig.register("v1", closing.port).await;
    let (mut caller, _) = rig.connect().await;
    assert_eq!(rest(&mut caller).await.unwrap(), b", bye");
    drop(caller);
    assert_eq!(rig.lines(1).await[0]["end"], "closed");
}

#[tokio::test]
async fn what_leads_nowhere_is_closed_at_once() {
    let mut rig = Rig::new("").await;
    let refused = async || {
        let mut stream = TcpStream::connect(rig.way_in).await.unwrap();
        assert_eq!(rest(&mut stream).await.unwrap(), b"");
    };
    refused().await;
    rig.register("v1", ports::free()).await;
    let mut stream = TcpStream::connect(rig.way_in).await.unwrap();
    assert_eq!(rest(&mut stream).await.unwrap(), b"");
    let lines = rig.lines(2).await;
    let flags = [&lines[0], &lines[1]].map(|l| l["response_flags"].as_str().unwrap());
    assert_eq!(flags, ["NR", "UF"]);
    // Another one takes its place.
    let v1 = Backend::echo("v1").await;
    rig.register("v1", v1.port).await;
    for _ in 0..4 {
        assert_eq!(rig.connect().await.1, "v1");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_pass_and_a_reader_that_stalls_costs_no_memory() {
    const MIB: u64 = 1024 * 1024;
    const SIZE: u64 = 100 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let source = Backend::new(move |mut stream| {
        let count = count.clone();
        async move {
            let mut at = 0_u64;
            let mut piece = vec![0; 64 * 1024];
            stream.write_all(b"go").await.unwrap();
            while at < SIZE {
                piece.fill((at >> 16) as u8);
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
                at += piece.len() as u64;
                count.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
        }
    })
    .await;
    let mut rig = Rig::new("").await;
    rig.register("v1", source.port).await;
    // One before, so that what is needed once is there.
    drop(rig.connect().await);
    let before = rig.gateway.process.resident();
    let mut stalled = Vec::new();
    for _ in 0..10 {
        stalled.push(rig.connect().await.0);
    }
    // What the system keeps by itself is full when no more is sent.
    let (mut last, mut still) = (0, 0);
    while still < 25 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = sent.load(Ordering::SeqCst);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    assert!(
        last < 10 * SIZE / 2,
        "{last} bytes were taken, read by nobody"
    );
    let grown = rig.gateway.process.resident().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes for 10 readers that stall");
    // One of them reads on, to the end.
    let mut stream = stalled.pop().unwrap();
    let mut piece = vec![0; 64 * 1024];
    let mut at = 0_u64;
    while at < SIZE {
        let read = timeout(wait::PATIENCE, stream.read(&mut piece));
        let n = read.await.unwrap().unwrap();
        assert!(n > 0, "it ended after {at} bytes");
        for (i, byte) in piece[..n].iter().enumerate() {
            assert_eq!(*byte, ((at + i as u64) >> 16) as u8);
        }
        at += n as u64;
    }
    assert_eq!(rest(&mut stream).await.unwrap(), b"");
    let grown = rig.gateway.process.resident().saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes after the transfer");
}

#[tokio::test]
async fn a_sidecar_that_stops_lets_connections_end() {
    let v1 = Backend::echo("v1").await;
    let mut rig = Rig::new("").await;
    rig.register("v1", v1.port).await;
    let (mut caller, _) = rig.connect().await;
    rig.gateway.process.signal(Signal::TERM);
    wait::until("the port to close", || async {
        match TcpStream::connect(rig.way_in).await {
            Ok(_) => Err("still open".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    caller.write_all(b"goodbye").await.unwrap();
    caller.shutdown().await.unwrap();
    assert_eq!(rest(&mut caller).await.unwrap(), b"goodbye");
    assert_eq!(rig.gateway.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn the_drain_timeout_ends_connections_that_do_not() {
    let v1 = Backend::echo("v1").await;
    let mut rig = Rig::new("drain_timeout: 200ms").await;
    rig.register("v1", v1.port).await;
    let (mut caller, _) = rig.connect().await;
    rig.gateway.process.signal(Signal::TERM);
    let ended = rest(&mut caller).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset, "not a whole end");
    assert_eq!(rig.gateway.process.exit().await.code(), Some(0));
    assert_eq!(rig.lines(1).await[0]["end"], "stopped");
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_place() {
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidecar.yaml");
    let config = format!(
        "proxy: true\nregistry: {{url: 'http://127.0.0.1:1'}}\ncontroller: {{url: 'http://127.0.0.1:1'}}\n\
         proxy_config:\n  http_listener_port: 0\n  admin_port: 0\n  tcp_proxies:\n  \
         - {{service: a, listener_port: 0}}\n  - {{service: b, listener_port: {port}}}\n"
    );
    std::fs::write(&file, config).unwrap();
    let args = [format!("--config={}", file.display())];
    let mut process = Process::start("a8sidecar", &args, &[]);
    assert_eq!(process.exit().await.code(), Some(1));
    let told = process.stderr();
    for part in ["tcp_proxies[1]", &port.to_string(), "in use"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
