//! Connections that change their protocol.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use http::Response;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::http2::speaking_http2;
use crate::proxy::AccessLog;
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, eventually, instance, raw};

const ASK: &str = "GET /s/chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n";

/// Reads as long as what has come is not the end of a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_each_side_can_end_first() {
    let origin = Scripted::new(|mut stream, _| async move {
        let asked = head(&mut stream).await.to_lowercase();
        assert!(asked.starts_with("get /chat http/1.1"), "{asked}");
        assert!(asked.contains("connection: upgrade\r\n") && asked.contains("upgrade: websocket"));
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\nfirst";
        stream.write_all(agreed.as_bytes()).await.unwrap();
        // Everything comes back until the caller has ended, then a last word.
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.write_all(b"last").await.unwrap();
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    // The caller does not wait for the answer either.
    stream
        .write_all(format!("{ASK}early").as_bytes())
        .await
        .unwrap();
    let agreed = head(&mut stream).await.to_lowercase();
    assert!(agreed.starts_with("http/1.1 101"), "{agreed}");
    for field in [
        "connection: upgrade\r\n",
        "upgrade: websocket\r\n",
        "sec-websocket-accept: y",
    ] {
        assert!(agreed.contains(field), "{field}: {agreed}");
    }
    stream.write_all(b" late").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "firstearly latelast");
    let fabric = &fabric;
    eventually(async || fabric.metrics.connections("s").get() == 0).await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_like_another() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let reply = raw(proxy.address(), &ASK.replace("keep-alive", "close"))
        .await
        .unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("upgrade: websocket"), "{}", reply.body);
}

#[tokio::test]
async fn http2_is_not_begun_this_way_however_it_is_spelt() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for to in ["h2c", "H2C", "websocket, h2c", "websocket\r\nUpgrade: h2C"] {
        let text = ASK.replace("keep-alive", "close").replace(
            "Upgrade: websocket",
            &format!("Upgrade: {to}\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
        );
        let reply = raw(proxy.address(), &text).await.unwrap();
        assert_eq!(reply.status, 200, "{to}");
        for gone in ["\nupgrade:", "\nconnection:", "\nhttp2-settings:"] {
            assert!(!reply.body.contains(gone), "{to}: {}", reply.body);
        }
    }
}

#[tokio::test]
async fn an_instance_that_only_speaks_http2_is_asked_without() {
    let origin = Origin::http2(|request| async move {
        let seen = format!("{:?} {:?}", request.version(), request.headers());
        Response::new(Full::from(seen))
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let ask = ASK.replace("keep-alive", "close");
    for _ in 0..2 {
        let reply = raw(proxy.address(), &ask).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body.starts_with("HTTP/2.0 "), "{}", reply.body);
        assert!(!reply.body.contains("\"upgrade\""), "{}", reply.body);
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let origin = Scripted::new(|mut stream, _| async move {
        head(&mut stream).await;
        let text = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
        stream.write_all(text.as_bytes()).await.unwrap();
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let reply = raw(
        proxy.address(),
        "GET /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(reply.await.unwrap().status, 502);
}

/// Agrees, says `first`, and sends back what it gets until the caller has said all.
async fn echo() -> Scripted {
    Scripted::new(|mut stream, _| async move {
        head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\nfirst";
        let _ = stream.write_all(agreed.as_bytes()).await;
        let (mut from, mut to) = stream.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
    })
    .await
}

/// An upgraded connection on which `first` has been heard.
async fn upgraded(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(ASK.as_bytes()).await.unwrap();
    head(&mut stream).await;
    let mut first = [0; 5];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"first");
    stream
}

#[tokio::test]
async fn a_line_tells_of_each_end() {
    let origin = echo().await;
    let breaks = Scripted::new(|mut stream, _| async move {
        head(&mut stream).await;
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\n\r\nfirst";
        stream.write_all(agreed.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        stream.set_zero_linger().unwrap();
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let proxy = fabric.proxy(AccessLog::File(log.clone()));
    let open = fabric.metrics.connections("s");

    let mut stream = upgraded(proxy.address()).await;
    stream.write_all(b"and back").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "and back");
    drop(stream);
    eventually(async || open.get() == 0).await;

    let stream = upgraded(proxy.address()).await;
    stream.set_zero_linger().unwrap();
    drop(stream);
    eventually(async || open.get() == 0).await;

    fabric.load(vec![], "[]").await;
    fabric.put(instance("s", "v1", &breaks.value())).await;
    let mut stream = upgraded(proxy.address()).await;
    stream.write_all(b"x").await.unwrap();
    let told = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::ConnectionReset);
    let open = fabric.metrics.connections("s");
    eventually(async || open.get() == 0).await;

    // One that goes on for longer than it may when the proxy stops.
    fabric.load(vec![], "[]").await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let mut stream = upgraded(proxy.address()).await;
    proxy.drain(Duration::from_millis(50)).await;
    let told = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(told.kind(), ErrorKind::ConnectionReset);

    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |l: &serde_json::Value| {
        let text = |name: &str| l[name].as_str().unwrap().to_owned();
        let number = |name: &str| l[name].as_u64().unwrap();
        (
            text("end"),
            text("response_flags"),
            [number("status"), number("bytes_in"), number("bytes_out")],
        )
    };
    let told: Vec<_> = lines.iter().map(told).collect();
    let expected = [
        ("closed", "-", [101, 8, 13]),
        ("reset_by_caller", "DC", [101, 0, 5]),
        ("reset_by_instance", "UF", [101, 1, 5]),
        ("stopped", "-", [101, 0, 5]),
    ];
    let expected = expected.map(|(end, flags, n)| (end.to_owned(), flags.to_owned(), n));
    assert_eq!(told, expected, "{lines:?}");
}

#[tokio::test]
async fn a_drain_lets_an_upgraded_connection_end() {
    let origin = echo().await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    let mut stream = upgraded(to).await;
    // It is not a request.
    let quiet = tokio::time::timeout(DEADLINE / 2, proxy.quiet(DEADLINE));
    quiet.await.unwrap();
    let mut draining = JoinSet::new();
    draining.spawn(proxy.drain(DEADLINE));
    eventually(async || TcpStream::connect(to).await.is_err()).await;
    stream.write_all(b"still").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "still");
    draining.join_next().await.unwrap().unwrap();
}
