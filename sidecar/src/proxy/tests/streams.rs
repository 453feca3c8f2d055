//! Byte streams through TCP proxies, over real sockets.

use std::time::Duration;

use a8_common::model::InstanceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, eventually, instance, request, with};

/// Says its name, then sends back what it gets until the other side has said all.
async fn named(name: &'static str) -> Scripted {
    Scripted::new(move |mut stream, _| async move {
        let _ = stream.write_all(name.as_bytes()).await;
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    })
    .await
}

/// A proxy with one port, which leads to `s`, and its log.
struct Rig {
    fabric: Fabric,
    proxy: Proxy,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn new(rules: &str) -> Self {
        let mut fabric = Fabric::new().await;
        fabric.rules(rules).await;
        let dir = tempfile::tempdir().unwrap();
        let proxy = fabric.proxy_for(&["s"], AccessLog::File(dir.path().join("log")));
        Self { fabric, proxy, dir }
    }

    async fn put(&mut self, tags: &str, origin: &Scripted) -> InstanceId {
        let made = with("s", tags, &origin.value(), "UP", "tcp");
        let id = made.id.clone();
        self.fabric.put(made).await;
        id
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.tcp_addresses()[0])
            .await
            .unwrap()
    }

    /// A new connection, and the name that its instance says.
    async fn greeted(&self) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        let mut name = [0; 2];
        let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut name));
        read.await.unwrap().unwrap();
        (stream, String::from_utf8_lossy(&name).into_owned())
    }

    /// Ends the proxy and reads the lines of its log.
    async fn lines(self, grace: Duration) -> Vec<serde_json::Value> {
        self.proxy.drain(grace).await;
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }
}

/// Everything that comes until the end.
async fn rest(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut all = String::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_string(&mut all));
    read.await.unwrap().map(|_| all)
}

const TO_V1: &str = "[{id: r1, destination: s, route: {backends: [{tags: [v1]}]}}]";

#[tokio::test]
async fn a_line_and_counts_tell_the_whole_story() {
    let v1 = named("v1").await;
    let mut rig = Rig::new(
        "[{id: r1, destination: s, match: {source: {name: web}}, route: {backends: [{tags: [v1]}]}}, \
          {id: t1, destination: s, actions: [{action: delay, duration: 0.01}, \
            {action: trace, log_key: recipe, log_value: x, tags: [v1]}, \
            {action: trace, log_key: end, log_value: mine}]}]",
    )
    .await;
    rig.put("v1", &v1).await;
    let (mut stream, _) = rig.greeted().await;
    let stats = rig.fabric.metrics.streams("s");
    let upstream = rig.fabric.metrics.connections("s");
    assert_eq!((stats.open.get(), upstream.get()), (1, 1));
    stream.write_all(b"hello").await.unwrap();
    // The caller has said all; the answer still comes.
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await.unwrap(), "hello");
    eventually(async || stats.open.get() == 0).await;
    assert_eq!((stats.to_instance.get(), stats.to_caller.get()), (5, 7));
    assert_eq!(upstream.get(), 0);
    let of_rule = rig.fabric.metrics.stats("s", "s:v1", "r1");
    let port = rig.proxy.tcp_addresses()[0].port();
    let lines = rig.lines(DEADLINE).await;
    assert_eq!(of_rule.requests(crate::proxy::CodeClass::Tcp), 1);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for (member, value) in [
        ("src", "web:v1"),
        ("dst", "s:v1"),
        ("protocol", "TCP"),
        ("response_flags", "DI"),
        ("upstream_host", &v1.value()),
        ("rule", "r1"),
        ("fault", "delay=0.01"),
        ("recipe", "x"),
        ("trace_end", "mine"),
        ("end", "closed"),
    ] {
        assert_eq!(lines[0][member], value, "{member}: {}", lines[0]);
    }
    for (member, value) in [("bytes_in", 5), ("bytes_out", 7), ("retries", 0)] {
        assert_eq!(lines[0][member], value, "{member}: {}", lines[0]);
    }
    assert_eq!(lines[0]["listener_port"], port);
    for member in ["request_time", "upstream_response_time"] {
        assert!(lines[0][member].as_f64().unwrap() >= 0.01, "{member}");
    }
}

#[tokio::test]
async fn changes_move_new_connections_and_leave_open_ones_where_they_are() {
    let (v1, v2) = (named("v1").await, named("v2").await);
    let mut rig = Rig::new(TO_V1).await;
    let id = rig.put("v1", &v1).await;
    rig.put("v2", &v2).await;
    let (mut old, name) = rig.greeted().await;
    assert_eq!(name, "v1");
    rig.fabric
        .rules("[{destination: s, route: {backends: [{tags: [v2]}]}}]")
        .await;
    rig.fabric.remove(&id).await;
    for _ in 0..5 {
        assert_eq!(rig.greeted().await.1, "v2");
    }
    old.write_all(b"still here").await.unwrap();
    old.shutdown().await.unwrap();
    assert_eq!(rest(&mut old).await.unwrap(), "still here");
}

#[tokio::test]
async fn each_kind_of_traffic_goes_where_it_is_understood() {
    let (bytes, pages) = (named("b ").await, Origin::echo("pages").await);
    let mut rig = Rig::new("[]").await;
    rig.put("", &bytes).await;
    for (value, kind) in [("10.255.255.1:9", "udp"), ("nobody", "tcp")] {
        rig.fabric.put(with("s", "", value, "UP", kind)).await;
    }
    let http = rig.proxy.address();
    let reply = request(http, "GET /s/", &[]).await;
    let why = reply.json()["description"].as_str().unwrap().to_owned();
    assert_eq!(reply.status, 503, "{why}");
    assert!(why.contains("3 have an endpoint"), "{why}");
    rig.fabric.put(instance("s", "", &pages.value())).await;
    for _ in 0..6 {
        assert_eq!(request(http, "GET /s/", &[]).await.status, 200);
    }
    // A stream takes either, in turn.
    let mut seen = (0, 0);
    for _ in 0..6 {
        let mut stream = rig.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let all = rest(&mut stream).await.unwrap();
        match all.strip_prefix("b ") {
            Some(_) => seen.0 += 1,
            None => seen.1 += usize::from(all.contains("pages")),
        }
    }
    assert_eq!(seen, (3, 3));
}

#[tokio::test]
async fn what_leads_nowhere_is_closed_at_once_and_says_why() {
    let refusing = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let rule = |more: &str| {
        format!("[{{id: r1, destination: s, route: {{backends: [{{tags: [v1]}}]{more}}}}}]")
    };
    let abort = "[{destination: s, actions: [{action: abort, return_code: 503}]}]";
    for (rules, instances, flags, retries) in [
        (rule(""), vec![], "UH", 0),
        ("[]".to_owned(), vec![], "NR", 0),
        (rule(""), vec![&refusing], "UF", 0),
        (rule(", http_req_retries: 2"), vec![&refusing], "UF,URX", 2),
        (abort.to_owned(), vec![&refusing], "FI", 0),
    ] {
        let mut rig = Rig::new(&rules).await;
        for value in instances {
            rig.fabric.put(with("s", "v1", value, "UP", "tcp")).await;
        }
        let mut stream = rig.connect().await;
        assert_eq!(rest(&mut stream).await.unwrap(), "", "{flags}");
        let unknown = rig.fabric.metrics.unknown.clone();
        let lines = rig.lines(DEADLINE).await;
        assert_eq!(lines[0]["response_flags"], flags, "{}", lines[0]);
        assert_eq!(lines[0]["end"], "refused");
        assert_eq!(lines[0]["retries"], retries);
        let none = crate::proxy::CodeClass::None;
        assert_eq!(unknown.requests(none), u64::from(flags == "NR"));
    }
}

#[tokio::test]
async fn another_instance_is_tried_when_one_refuses_the_connection() {
    let v1 = named("v1").await;
    let mut rig = Rig::new(TO_V1).await;
    rig.put("v1", &v1).await;
    let refusing = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let refusing = with("s", "v1", &refusing, "UP", "tcp");
    rig.fabric.put(refusing).await;
    for _ in 0..4 {
        let (stream, name) = rig.greeted().await;
        assert_eq!(name, "v1");
        drop(stream);
    }
    let lines = rig.lines(DEADLINE).await;
    let retries: u64 = lines.iter().map(|l| l["retries"].as_u64().unwrap()).sum();
    assert!(
        (1..=4).contains(&retries),
        "some began at the other: {lines:?}"
    );
    assert!(lines.iter().all(|l| l["upstream_host"] == v1.value()));
}

#[tokio::test]
async fn whoever_breaks_off_is_seen_by_the_other_side() {
    // Odd connections break off themselves once they have been spoken to.
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let origin = Scripted::new(move |mut stream, number| {
        let told = told.clone();
        async move {
            let mut buffer = [0; 8];
            stream.write_all(b"v1").await.unwrap();
            let _ = stream.read(&mut buffer).await;
            if number == 1 {
                return stream.set_zero_linger().unwrap();
            }
            let next = stream.read(&mut buffer).await;
            told.send(next.map_err(|e| e.kind())).unwrap();
        }
    })
    .await;
    let mut rig = Rig::new(TO_V1).await;
    rig.put("v1", &origin).await;
    let (mut stream, _) = rig.greeted().await;
    stream.write_all(b"x").await.unwrap();
    stream.set_zero_linger().unwrap();
    // What was sent before is passed on first.
    let passed = rig.fabric.metrics.streams("s");
    eventually(async || passed.to_instance.get() == 1).await;
    drop(stream);
    let at_instance = tokio::time::timeout(DEADLINE, seen.recv()).await.unwrap();
    let reset = std::io::ErrorKind::ConnectionReset;
    assert_eq!(at_instance, Some(Err(reset)));
    let (mut stream, _) = rig.greeted().await;
    stream.write_all(b"x").await.unwrap();
    assert_eq!(rest(&mut stream).await.unwrap_err().kind(), reset);
    let lines = rig.lines(DEADLINE).await;
    let told = |n: usize| {
        [&lines[n]["end"], &lines[n]["response_flags"]].map(|v| v.as_str().unwrap().to_owned())
    };
    assert_eq!(told(0), ["reset_by_caller", "DC"]);
    assert_eq!(told(1), ["reset_by_instance", "UF"]);
}

#[tokio::test]
async fn a_drain_lets_streams_go_on_until_its_end() {
    let v1 = named("v1").await;
    let mut rig = Rig::new(TO_V1).await;
    rig.put("v1", &v1).await;
    let (mut ends, _) = rig.greeted().await;
    let (mut stays, _) = rig.greeted().await;
    let port = rig.proxy.tcp_addresses()[0];
    let through = async {
        eventually(async || std::net::TcpStream::connect(port).is_err()).await;
        ends.write_all(b"bye").await.unwrap();
        ends.shutdown().await.unwrap();
        rest(&mut ends).await.unwrap()
    };
    let (lines, said) = tokio::join!(rig.lines(Duration::from_secs(2)), through);
    assert_eq!(said, "bye");
    assert!(
        rest(&mut stays).await.is_err(),
        "what was cut off does not look whole"
    );
    let ends: Vec<_> = lines.iter().map(|l| l["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["closed", "stopped"]);
}

#[tokio::test]
async fn a_backend_has_no_more_streams_than_it_may_and_the_next_wait() {
    let v1 = named("v1").await;
    let mut rig = Rig::new(
        "[{id: r1, destination: s, route: {http_req_timeout: 60, backends: \
           [{tags: [v1], resilience: {max_connections: 1, max_pending_requests: 1}}]}}]",
    )
    .await;
    rig.put("v1", &v1).await;
    let (first, _) = rig.greeted().await;
    let waits = rig.fabric.metrics.waits("s");
    let mut second = rig.connect().await;
    eventually(async || waits.now.get() == 1).await;
    let mut third = rig.connect().await;
    assert_eq!(rest(&mut third).await.unwrap(), "");
    assert_eq!(v1.connections(), 1);
    drop(first);
    let mut name = [0; 2];
    second.read_exact(&mut name).await.unwrap();
    assert_eq!((&name, waits.now.get(), waits.waited()), (b"v1", 0, 1));
    // Nobody waits for longer than it may take to connect.
    let hasty = "[{id: r1, destination: s, route: {http_req_timeout: 0.05, backends: \
        [{tags: [v1], resilience: {max_connections: 1, max_pending_requests: 1}}]}}]";
    rig.fabric.rules(hasty).await;
    let mut late = rig.connect().await;
    assert_eq!(rest(&mut late).await.unwrap(), "");
    drop(second);
    let open = rig.fabric.metrics.streams("s");
    eventually(async || open.open.get() == 0).await;
    let lines = rig.lines(DEADLINE).await;
    let flags: Vec<_> = lines.iter().map(|l| &l["response_flags"]).collect();
    assert_eq!(flags, ["UO", "-", "UT", "-"]);
}

#[tokio::test]
async fn an_idle_connection_of_requests_is_given_up_for_a_stream() {
    let origin = Origin::echo("http").await;
    let mut rig = Rig::new(
        "[{id: r1, destination: s, route: {http_req_timeout: 60, backends: \
           [{tags: [v1], resilience: {max_connections: 1}}]}}]",
    )
    .await;
    rig.fabric.put(instance("s", "v1", &origin.value())).await;
    let to = rig.proxy.address();
    assert_eq!(request(to, "GET /s/", &[]).await.status, 200);
    let mut stream = rig.connect().await;
    let text = b"GET /itself HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(text).await.unwrap();
    let mut heard = [0; 15];
    stream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 200 OK");
    // And a request waits for the end of the stream.
    let waits = rig.fabric.metrics.waits("s");
    let waited = waits.waited();
    let wait = async {
        eventually(async || waits.now.get() == 1).await;
        drop(stream);
    };
    let (reply, ()) = tokio::join!(request(to, "GET /s/", &[]), wait);
    assert_eq!((reply.status, waits.waited()), (200, waited + 1));
}

#[tokio::test]
async fn an_instance_that_refuses_again_and_again_is_left_alone() {
    let v1 = named("v1").await;
    let mut rig = Rig::new(
        "[{id: r1, destination: s, route: {backends: \
           [{tags: [v1], resilience: {consecutive_errors: 2}}]}}]",
    )
    .await;
    rig.put("v1", &v1).await;
    let refusing = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    rig.fabric
        .put(with("s", "v1", &refusing, "UP", "tcp"))
        .await;
    for _ in 0..10 {
        rig.greeted().await;
    }
    let lines = rig.lines(DEADLINE).await;
    let retries: u64 = lines.iter().map(|l| l["retries"].as_u64().unwrap()).sum();
    assert_eq!(retries, 2, "ejected after the second: {lines:?}");
}
