//! Bodies arrive as they were sent, whichever way their end is told.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{Fabric, Origin, instance, raw, request};

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
