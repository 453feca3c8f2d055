//! Where responses end: what is whole is told as whole, and its connection stays in use.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};

use super::http2::speaking_http2;
use crate::proxy::{AccessLog, Proxy};
use crate::testkit::{DEADLINE, Fabric, Scripted, eventually, instance, request};

/// A body whose end is told apart from its last piece: at once, or when it is let go.
struct Late {
    pieces: Vec<Frame<Bytes>>,
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Told whether the end was reached when the body is dropped.
    tell: mpsc::UnboundedSender<bool>,
    ended: bool,
}

impl Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(piece) = self.pieces.pop() {
            return Poll::Ready(Some(Ok(piece)));
        }
        if let Some(gate) = &mut self.gate {
            ready!(gate.as_mut().poll(cx));
        }
        self.ended = true;
        Poll::Ready(None)
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let _ = self.tell.send(self.ended);
    }
}

/// An instance in HTTP/2 whose answers end late: with the `status`, the length, and the pieces
/// that are asked for, at once or when `open` says so.
async fn late(
    (status, length, pieces): (u16, Option<&'static str>, &'static [&'static str]),
    open: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<bool>,
) -> Scripted {
    Scripted::new(move |stream, _| {
        let (open, tell) = (open.clone(), tell.clone());
        async move {
            let service = service_fn(|_| {
                let (mut open, tell) = (open.clone(), tell.clone());
                let gate = async move {
                    let _ = open.wait_for(|open| *open).await;
                };
                let pieces = pieces.iter().rev().map(|text| match *text {
                    "trailers" => Frame::trailers(HeaderMap::new()),
                    text => Frame::data(Bytes::from(text)),
                });
                let mut response = Response::new(Late {
                    pieces: pieces.collect(),
                    gate: Some(Box::pin(gate)),
                    tell,
                    ended: false,
                });
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                if let Some(length) = length {
                    let length = length.parse().unwrap();
                    response.headers_mut().insert("content-length", length);
                }
                async { Ok::<_, Infallible>(response) }
            });
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await
}

async fn rig(made: a8_common::model::Instance) -> (Fabric, Proxy, tempfile::TempDir) {
    let mut fabric = Fabric::new().await;
    fabric.put(made).await;
    let dir = tempfile::tempdir().unwrap();
    let proxy = fabric.proxy(AccessLog::File(dir.path().join("log")));
    (fabric, proxy, dir)
}

/// Ends the proxy and says what flags its log has.
async fn flags(proxy: Proxy, dir: &tempfile::TempDir) -> Vec<String> {
    proxy.drain(DEADLINE).await;
    let text = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["response_flags"].as_str().unwrap().to_owned()
    });
    lines.collect()
}

#[tokio::test]
async fn an_instance_in_http2_may_say_late_that_its_answer_is_over() {
    for (method, status, length, pieces) in [
        ("GET", 200, Some("5"), &["hello"][..]),
        ("GET", 200, Some("5"), &["he", "llo"]),
        ("GET", 200, Some("5"), &["hello", ""]),
        ("GET", 200, Some("0"), &[]),
        ("HEAD", 200, Some("5"), &[]),
        ("HEAD", 200, None, &[]),
        ("GET", 204, None, &[]),
        ("GET", 304, Some("5"), &[]),
    ] {
        let what = format!("{method} {status} {length:?} {pieces:?}");
        for at_once in [true, false] {
            let (tell, mut told) = mpsc::unbounded_channel();
            let (gate, open) = watch::channel(at_once);
            let origin = late((status, length, pieces), open, tell).await;
            let (fabric, proxy, dir) = rig(speaking_http2(&origin.value())).await;
            let reply = request(proxy.address(), &format!("{method} /s/"), &[]).await;
            assert_eq!(
                (reply.status, reply.body),
                (status, pieces.concat()),
                "{what}"
            );
            // Until then it holds its place on the connection, and the instance is not told
            // that nobody wants its answer.
            gate.send_replace(true);
            assert_eq!(told.recv().await, Some(true), "{what}");
            drop(fabric);
            assert_eq!(flags(proxy, &dir).await, ["-"], "{what}");
        }
    }
}

#[tokio::test]
async fn trailers_end_an_answer_whether_the_caller_takes_them_or_not() {
    let (tell, _told) = mpsc::unbounded_channel();
    let (_gate, open) = watch::channel(true);
    let two = late((200, Some("5"), &["hello", "trailers"]), open, tell).await;
    let one = Scripted::new(|mut stream, _| async move {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-a\r\n\r\n\
                    5\r\nhello\r\n0\r\nx-a: b\r\n\r\n";
        while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
            let _ = stream.write_all(text.as_bytes()).await;
        }
    })
    .await;
    for made in [
        speaking_http2(&two.value()),
        instance("s", "v1", &one.value()),
    ] {
        let (_fabric, proxy, dir) = rig(made).await;
        for fields in [&[][..], &[("TE", "trailers")]] {
            let reply = request(proxy.address(), "GET /s/", fields).await;
            assert!(reply.body.contains("hello"), "{}", reply.body);
        }
        assert_eq!(flags(proxy, &dir).await, ["-", "-"]);
    }
}

#[tokio::test]
async fn an_instance_that_never_says_that_its_answer_is_over_is_given_up() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (_gate, open) = watch::channel(false);
    let origin = late((200, Some("5"), &["hello"]), open, tell).await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    let proxy = fabric.start(crate::proxy::Config {
        idle_timeout: std::time::Duration::from_millis(50),
        ..crate::testkit::settings()
    });
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!(reply.body, "hello");
    assert_eq!(told.recv().await, Some(false));
    let upstream = fabric.metrics.connections("s");
    eventually(async || upstream.get() == 1).await;
}
