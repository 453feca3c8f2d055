//! Bodies that are longer than they may be.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::http2::caller;
use crate::proxy::{AccessLog, Config, Proxy};
use crate::testkit::{Fabric, Origin, Scripted, instance, raw, settings};

const MOST: usize = 100_000;

async fn rig(value: &str, rules: &str) -> (Fabric, Proxy) {
    rig_with(value, rules, AccessLog::Off).await
}

async fn rig_with(value: &str, rules: &str, access_log: AccessLog) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", value)).await;
    fabric.rules(rules).await;
    let proxy = fabric.start(Config {
        max_request_body: MOST as u64,
        access_log,
        ..settings()
    });
    (fabric, proxy)
}

fn sized(length: usize) -> String {
    let body = "x".repeat(length);
    format!(
        "POST /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// In pieces of 10,000 bytes.
fn chunked(length: usize) -> String {
    let mut text = "POST /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                    Transfer-Encoding: chunked\r\n\r\n"
        .to_owned();
    for at in (0..length).step_by(10_000) {
        let piece = "x".repeat(10_000.min(length - at));
        text += &format!("{:x}\r\n{piece}\r\n", piece.len());
    }
    text + "0\r\n\r\n"
}

/// One failure would leave the instance alone for long.
const STRICT: &str = "[{id: r, destination: s, route: {http_req_retries: 2, backends: \
     [{tags: [v1], resilience: {consecutive_errors: 1, sleep_window: 600}}]}}]";

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_anything_is_sent() {
    let origin = Origin::echo("s").await;
    let (_fabric, proxy) = rig(&origin.value(), "[]").await;
    let refused = raw(proxy.address(), &sized(MOST + 1)).await.unwrap();
    assert_eq!(refused.status, 413);
    assert_eq!(refused.field("server"), Some("a8sidecar"));
    assert_eq!(refused.field("a8-error"), Some("BR"));
    assert_eq!(refused.json()["error"], "body_too_large");
    assert!(refused.body.contains("100000 bytes"), "{}", refused.body);
    // Nobody has to send what is refused anyway.
    let asking = sized(0).replace(
        "Content-Length: 0",
        "Content-Length: 100001\r\nExpect: 100-continue",
    );
    assert_eq!(raw(proxy.address(), &asking).await.unwrap().status, 413);
    assert_eq!(origin.connections(), 0);
    for text in [sized(MOST), chunked(MOST)] {
        let passed = raw(proxy.address(), &text).await.unwrap();
        assert_eq!(passed.status, 200);
        assert!(passed.body.contains("body: 100000\n"), "{}", passed.body);
    }
}

#[tokio::test]
async fn one_that_turns_out_to_be_too_large_is_cut_off_and_nobody_else_is_blamed() {
    for rules in ["[]", STRICT] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let script = move |mut stream: TcpStream, _| {
            let tell = tell.clone();
            async move {
                let mut all = Vec::new();
                // A reset is an end like another.
                let _ = stream.read_to_end(&mut all).await;
                tell.send(all).unwrap();
            }
        };
        // Of two instances one may be left alone.
        let (one, other) = (
            Scripted::new(script.clone()).await,
            Scripted::new(script).await,
        );
        let (mut fabric, proxy) = rig(&one.value(), rules).await;
        fabric.put(instance("s", "v1", &other.value())).await;
        let refused = raw(proxy.address(), &chunked(MOST + 1)).await.unwrap();
        assert_eq!(refused.status, 413, "{rules}");
        let got = told.recv().await.unwrap();
        assert!(got.starts_with(b"POST / HTTP/1.1\r\n"));
        assert!(!got.ends_with(b"\r\n0\r\n\r\n"), "it looks whole");
        let asked = one.connections() + other.connections();
        assert_eq!(asked, 1, "there is no second attempt");
        let routes = fabric.routes.load();
        for (_, _, backend) in routes.table.backends() {
            assert!(backend.ejected(std::time::Instant::now()).is_empty());
        }
    }
}

#[tokio::test]
async fn an_instance_in_http2_is_told_too() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = Origin::http2(move |request| {
        let tell = tell.clone();
        async move {
            let whole = request.into_body().collect().await.is_ok();
            tell.send(whole).unwrap();
            Response::new(Full::<Bytes>::default())
        }
    })
    .await;
    let mut fabric = Fabric::new().await;
    let made = serde_json::json!({
        "id": "i", "service_name": "s", "status": "UP", "metadata": {"protocol": "h2"},
        "endpoint": {"type": "http", "value": origin.value()},
    });
    fabric.put(serde_json::from_value(made).unwrap()).await;
    let proxy = fabric.start(Config {
        max_request_body: MOST as u64,
        ..settings()
    });
    let refused = raw(proxy.address(), &chunked(2 * MOST)).await.unwrap();
    assert_eq!(refused.status, 413);
    assert_eq!(told.recv().await, Some(false));
    let passed = raw(proxy.address(), &chunked(MOST)).await.unwrap();
    assert_eq!(passed.status, 200);
    assert_eq!(told.recv().await, Some(true));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_cut_off() {
    let origin = Scripted::new(|mut stream, _| async move {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbegun";
        let _ = stream.read(&mut [0; 64]).await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let (_fabric, proxy) = rig_with(&origin.value(), "[]", AccessLog::File(log.clone())).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let text = chunked(2 * MOST);
    let (first, rest) = text.split_at(1000);
    stream.write_all(first.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"begun") {
        heard.push(stream.read_u8().await.unwrap());
    }
    // It may be over before all is written.
    let _ = stream.write_all(rest.as_bytes()).await;
    let _ = stream.read_to_end(&mut heard).await;
    assert!(heard.ends_with(b"begun"), "nothing was added");
    drop(stream);
    proxy.drain(crate::testkit::DEADLINE).await;
    let line = std::fs::read_to_string(log).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&line["status"], &line["response_flags"]),
        (&200.into(), &"DC".into())
    );
}

#[tokio::test]
async fn grpc_is_told_in_its_own_words() {
    let origin = Origin::http2(|_| async { Response::new(Full::<Bytes>::default()) }).await;
    let (_fabric, proxy) = rig(&origin.value(), "[]").await;
    let (mut caller, _task) = caller(proxy.address()).await;
    let mut status = async |length: usize| {
        let asked = Request::post("http://localhost:6379/s/method")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::from(vec![0; length]))
            .unwrap();
        let answer = caller.send_request(asked).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers().get("grpc-status").cloned()
    };
    assert_eq!(status(MOST + 1).await.unwrap(), "8");
    assert_eq!(origin.connections(), 0);
    assert_eq!(status(MOST).await, None, "it is the instance's answer");
}
