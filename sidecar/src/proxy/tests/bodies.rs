//! Bodies arrive as they were sent, whichever way their end is told.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, Scripted, instance, raw, request};

async fn rig(value: &str) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", value)).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy)
}

/// A body in one piece of which nothing is known before.
fn unannounced(piece: &'static str) -> UnsyncBoxBody<Bytes, std::convert::Infallible> {
    let frame = Ok(Frame::data(Bytes::from_static(piece.as_bytes())));
    StreamBody::new(futures_util::stream::iter([frame])).boxed_unsync()
}

#[tokio::test]
async fn a_body_without_a_length_arrives_whatever_the_method() {
    let origin = Origin::echo("s").await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    for method in ["GET", "DELETE", "POST", "QUERY"] {
        let text = format!(
            "{method} /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        );
        let reply = raw(proxy.address(), &text).await.unwrap();
        assert!(reply.body.contains("body: 5\n"), "{method}: {}", reply.body);
    }
    let plain = request(proxy.address(), "GET /s/", &[]).await;
    assert!(!plain.body.contains("transfer-encoding"), "{}", plain.body);
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut caller, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let mut task = JoinSet::new();
    task.spawn(connection);
    let asked = Request::get("http://localhost:6379/s/").version(Version::HTTP_2);
    let asked = asked.body(unannounced("hello")).unwrap();
    let answer = caller.send_request(asked).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body);
    assert!(body.contains("body: 5\n"), "{body}");
}

#[tokio::test]
async fn a_response_has_one_way_to_tell_its_end() {
    for (fields, body, length) in [
        (
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "7\r\nlongish\r\n0\r\n\r\n",
            None,
        ),
        ("Content-Length: 5, 5", "hello", Some("5")),
        ("Content-Length: 5\r\nContent-Length: 5", "hello", Some("5")),
        ("Content-Length: 0, 0", "", Some("0")),
        ("Content-Length: 5", "hello", Some("5")),
    ] {
        let origin = Scripted::new(move |mut stream, _| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.read(&mut [0; 4096]).await;
        })
        .await;
        let (_fabric, proxy) = rig(&origin.value()).await;
        let reply = request(proxy.address(), "GET /s/", &[]).await;
        assert_eq!(reply.field("content-length"), length, "{fields}");
        assert_eq!(reply.body, body, "{fields}");
    }
    // What a length says of a body that is not there stays.
    let origin = Scripted::new(move |mut stream, _| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let reply = request(proxy.address(), "HEAD /s/", &[]).await;
    assert_eq!(reply.field("content-length"), Some("5"));
}
