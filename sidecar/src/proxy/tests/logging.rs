use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::{AccessLog, Config, Proxy};
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, instance, raw, request, settings};

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
        let proxy = fabric.proxy(AccessLog::File(dir.path().join("log")));
        Self { fabric, proxy, dir }
    }

    /// Ends the proxy and reads all lines.
    async fn lines(self) -> Vec<serde_json::Value> {
        self.lines_after(DEADLINE).await
    }

    /// The same, with what is not finished after `grace` cut off.
    async fn lines_after(self, grace: Duration) -> Vec<serde_json::Value> {
        self.proxy.drain(grace).await;
        let text = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_named() {
    let fabric = Fabric::new().await;
    let config = Config {
        access_log: AccessLog::File("/no/such/folder/a8.log".into()),
        ..settings()
    };
    let (routes, metrics) = (fabric.routes.clone(), fabric.metrics.clone());
    let started = crate::proxy::start(config, routes, metrics, &fabric.tasks);
    let why = started.err().unwrap().to_string();
    assert!(why.contains("/no/such/folder/a8.log"), "{why}");
}

#[tokio::test]
async fn a_line_tells_the_whole_story() {
    let origin = Origin::echo("s").await;
    let mut rig = Rig::new(
        "[{id: r1, destination: s, route: {backends: [{tags: [v1]}]}}, \
          {id: t1, destination: s, match: {headers: {X-Test: 'yes'}}, actions: [\
            {action: delay, duration: 0.05}, \
            {action: trace, log_key: recipe, log_value: 'a \"b\"', tags: [v1]}, \
            {action: trace, log_key: status, log_value: mine}]}]",
    )
    .await;
    rig.fabric.put(instance("s", "v1", &origin.value())).await;
    let to = rig.proxy.address();
    request(
        to,
        "GET /s/a?b=c",
        &[
            ("Host", "localhost:1"),
            ("X-Test", "yes"),
            ("User-Agent", "m \"e\""),
            ("X-Request-Id", "id-1"),
            ("traceparent", "00-a-b-01"),
            ("X-Forwarded-For", "1.2.3.4"),
        ],
    )
    .await;
    request(to, "GET /s/", &[]).await;
    let lines = rig.lines().await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    for (member, value) in [
        ("src", "web:v1"),
        ("dst", "s:v1"),
        ("method", "GET"),
        ("path", "/s/a?b=c"),
        ("protocol", "HTTP/1.1"),
        ("response_flags", "DI"),
        ("request_id", "id-1"),
        ("traceparent", "00-a-b-01"),
        ("user_agent", "m \"e\""),
        ("x_forwarded", "1.2.3.4, 127.0.0.1"),
        ("auth", "localhost:1"),
        ("upstream_host", &origin.value()),
        ("rule", "r1"),
        ("fault", "delay=0.05"),
        ("recipe", "a \"b\""),
        ("trace_status", "mine"),
    ] {
        assert_eq!(line[member], value, "{member}: {line}");
    }
    assert_eq!(
        (&line["status"], &line["retries"]),
        (&200.into(), &0.into())
    );
    assert!(line["request_time"].as_f64().unwrap() >= 0.05);
    assert!(line["upstream_response_time"].as_f64().is_some());
    line["start_time"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
    // The marks are on the lines of matching requests only (D6).
    assert_eq!(lines[1].get("recipe"), None);
    assert_eq!(lines[1]["response_flags"], "-");
}

#[tokio::test]
async fn every_way_to_end_has_its_flag() {
    let silent = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer).await {}
    })
    .await;
    let half = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            .await;
    })
    .await;
    let mut rig = Rig::new(
        "[{destination: slow, route: {http_req_timeout: 0.2, backends: [{tags: [v1]}]}}, \
          {destination: none, route: {backends: [{tags: [v1]}]}}, \
          {destination: again, route: {http_req_retries: 1, backends: [{tags: [v1]}]}}, \
          {destination: aborted, actions: [{action: abort, return_code: 400}]}, \
          {destination: closed, actions: [{action: abort, return_code: -1}]}]",
    )
    .await;
    for (service, value) in [
        ("slow", silent.value()),
        ("gone", silent.value()),
        ("half", half.value()),
        ("again", "127.0.0.1:1".into()),
        ("refused", "127.0.0.1:1".into()),
        ("aborted", silent.value()),
        ("closed", silent.value()),
    ] {
        rig.fabric.put(instance(service, "v1", &value)).await;
    }
    let to = rig.proxy.address();
    for service in [
        "slow", "none", "again", "refused", "aborted", "half", "nobody",
    ] {
        request(to, &format!("GET /{service}/"), &[]).await;
    }
    request(to, "GET /slow/../", &[]).await;
    assert!(
        raw(to, "GET /closed/ HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .is_none()
    );
    // A caller that goes away while it waits.
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream
        .write_all(b"GET /gone/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let asked = async {
        while silent.connections() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap();
    drop(stream);
    let metrics = rig.fabric.metrics.clone();
    let lines = rig.lines().await;
    let flags = |service: &str| {
        let line = lines
            .iter()
            .find(|l| l["path"] == format!("/{service}/"))
            .unwrap();
        (
            line["status"].as_u64().unwrap(),
            line["response_flags"].as_str().unwrap(),
        )
    };
    assert_eq!(flags("slow"), (504, "UT"));
    assert_eq!(flags("none"), (503, "UH"));
    assert_eq!(flags("again"), (502, "UF,URX"));
    assert_eq!(flags("refused"), (502, "UF"));
    assert_eq!(flags("aborted"), (400, "FI"));
    assert_eq!(flags("closed"), (0, "FI"));
    assert_eq!(flags("half"), (200, "UF"));
    assert_eq!(flags("nobody"), (404, "NR"));
    assert_eq!(flags("gone"), (499, "DC"));
    assert_eq!(flags("slow/.."), (400, "BR"));
    assert_eq!(lines.len(), 10);
    assert_eq!(metrics.aborts.get(), 2);
    // Nothing that a caller sends becomes a label.
    let export = crate::proxy::Export(metrics);
    let families = prometheus::core::Collector::collect(&export);
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .unwrap();
    assert!(!text.contains("nobody"), "{text}");
    assert!(text.contains(r#"destination="(unknown)""#), "{text}");
}

#[tokio::test]
async fn marks_of_one_key_stand_in_one_member() {
    let origin = Origin::echo("up").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    fabric
        .rules(
            r#"
- {priority: 3, destination: s, actions: [{action: trace, log_value: a}]}
- {priority: 2, destination: s, actions: [{action: trace, log_key: k, log_value: b}]}
- {priority: 1, destination: s, actions: [{action: trace, log_value: c}]}
"#,
        )
        .await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let proxy = fabric.proxy(AccessLog::File(log.clone()));
    request(proxy.address(), "GET /s/", &[("Connection", "close")]).await;
    proxy.drain(DEADLINE).await;
    let line = std::fs::read_to_string(log).unwrap();
    assert_eq!(line.matches("\"trace\"").count(), 1, "{line}");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["trace"], "a,c");
    assert_eq!(line["k"], "b");
}

#[tokio::test]
async fn what_the_proxy_cuts_off_is_not_its_callers_doing() {
    let says = |text: &'static [u8]| {
        move |mut stream: TcpStream, _| async move {
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(text).await.unwrap();
            std::future::pending::<()>().await;
        }
    };
    let silent = Scripted::new(says(b"")).await;
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let halves = Scripted::new(says(half)).await;
    let mut rig = Rig::new("[]").await;
    for (service, origin) in [("silent", &silent), ("halves", &halves)] {
        rig.fabric
            .put(instance(service, "v1", &origin.value()))
            .await;
    }
    let mut callers = Vec::new();
    for service in ["silent", "halves"] {
        let mut caller = TcpStream::connect(rig.proxy.address()).await.unwrap();
        let ask = format!("GET /{service}/ HTTP/1.1\r\nHost: a\r\n\r\n");
        caller.write_all(ask.as_bytes()).await.unwrap();
        callers.push(caller);
    }
    assert!(callers[1].read(&mut [0; 4096]).await.unwrap() > 0);
    while silent.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lines = rig.lines_after(Duration::from_millis(50)).await;
    let mut told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["path"].as_str(),
                line["status"].as_u64(),
                line["response_flags"].as_str(),
            )
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            (Some("/halves/"), Some(200), Some("LR")),
            (Some("/silent/"), Some(503), Some("LR")),
        ]
    );
}
