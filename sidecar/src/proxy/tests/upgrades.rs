//! Connections that change their protocol.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::AccessLog;
use crate::testkit::{Fabric, Origin, Scripted, eventually, instance, raw};

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
