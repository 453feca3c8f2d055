//! Uploads that go on after their answer has ended.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::http2::speaking_http2;
use crate::proxy::{AccessLog, Config, Proxy};
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, eventually, instance, request, settings};

const HEAD: &[u8] = b"POST /s/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// More than a head may have, and without the end of a line.
const PIECE: usize = 100_000;

/// An instance that answers the head of a request and reads its body then, if it has one. It
/// tells how many bytes it has read of each.
async fn early(tell: mpsc::UnboundedSender<usize>) -> Scripted {
    Scripted::new(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let mut buffer = vec![0; 64 * 1024];
            let mut heard = Vec::new();
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                heard.extend_from_slice(&buffer[..read]);
                let Some(end) = heard.windows(4).position(|w| w == b"\r\n\r\n") else {
                    continue;
                };
                let chunked = heard[..end].windows(7).any(|w| w == b"chunked");
                heard.drain(..end + 4);
                stream.write_all(ANSWER).await.unwrap();
                while chunked && !heard.ends_with(b"\r\n0\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(read @ 1..) => heard.extend_from_slice(&buffer[..read]),
                        _ => {
                            let _ = tell.send(0);
                            return;
                        }
                    }
                }
                if chunked {
                    let body = heard.iter().filter(|b| **b == b'x').count();
                    tell.send(body).unwrap();
                }
                heard.clear();
            }
        }
    })
    .await
}

/// The same in HTTP/2.
async fn early_http2(tell: mpsc::UnboundedSender<usize>) -> Origin {
    Origin::http2(move |request| {
        let tell = tell.clone();
        let mut reading = tokio::task::JoinSet::new();
        reading.spawn(async move {
            let body = request.into_body().collect().await;
            let _ = tell.send(body.map_or(0, |body| body.to_bytes().len()));
        });
        reading.detach_all();
        async { Response::new(Full::from(Bytes::from_static(b"ok"))) }
    })
    .await
}

async fn rig(made: a8_common::model::Instance, config: Config) -> (Fabric, Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(made).await;
    let proxy = fabric.start(config);
    (fabric, proxy)
}

/// Begins an upload and reads the whole answer.
async fn begin(to: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(HEAD).await.unwrap();
    answer(&mut stream).await;
    stream
}

async fn answer(stream: &mut TcpStream) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\nok") {
        let read = tokio::time::timeout(DEADLINE, stream.read_u8());
        match read.await.unwrap() {
            Ok(byte) => heard.push(byte),
            Err(e) => panic!("{e}: {}", String::from_utf8_lossy(&heard)),
        }
    }
    assert!(heard.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

async fn piece(stream: &mut TcpStream) {
    let piece = format!("{PIECE:x}\r\n{}\r\n", "x".repeat(PIECE));
    stream.write_all(piece.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn an_upload_goes_on_after_its_answer_and_the_connections_stay_in_use() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let one = early(tell.clone()).await;
    let two = early_http2(tell).await;
    for (made, http2) in [
        (instance("s", "v1", &one.value()), false),
        (speaking_http2(&two.value()), true),
    ] {
        let (_fabric, proxy) = rig(made, settings()).await;
        let mut stream = begin(proxy.address()).await;
        piece(&mut stream).await;
        // Others get connections of their own.
        for _ in 0..3 {
            assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
        }
        piece(&mut stream).await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let uploaded = async {
            loop {
                match told.recv().await.unwrap() {
                    // In HTTP/2 those without a body tell, too.
                    0 if http2 => {}
                    length => break length,
                }
            }
        };
        let length = tokio::time::timeout(DEADLINE, uploaded).await.unwrap();
        assert_eq!(length, 2 * PIECE, "{http2}");
        // Both connections serve again.
        stream
            .write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        answer(&mut stream).await;
        let opened = if http2 {
            two.connections()
        } else {
            one.connections()
        };
        assert_eq!(opened, if http2 { 1 } else { 2 });
    }
}

/// A body that consists of what is said.
struct Said(mpsc::UnboundedReceiver<Bytes>);

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| Some(Ok(Frame::data(piece?))))
    }
}

#[tokio::test]
async fn so_does_one_of_a_caller_in_http2() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = early(tell).await;
    let (_fabric, proxy) = rig(instance("s", "v1", &origin.value()), settings()).await;
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut caller, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let mut task = JoinSet::new();
    task.spawn(connection);
    let (say, said) = mpsc::unbounded_channel();
    let asked = Request::post("http://localhost:6379/s/").version(Version::HTTP_2);
    let answer = caller.send_request(asked.body(Said(said)).unwrap()).await;
    let body = answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(&body.to_bytes()[..], b"ok");
    for _ in 0..2 {
        say.send(Bytes::from(vec![b'x'; PIECE])).unwrap();
        assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
    }
    drop(say);
    let length = tokio::time::timeout(DEADLINE, told.recv()).await.unwrap();
    assert_eq!(length, Some(2 * PIECE));
}

#[tokio::test]
async fn an_upload_that_stands_still_after_its_answer_is_given_up() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let one = early(tell.clone()).await;
    let two = early_http2(tell).await;
    for made in [
        instance("s", "v1", &one.value()),
        speaking_http2(&two.value()),
    ] {
        let idle_timeout = Duration::from_millis(50);
        let config = Config {
            idle_timeout,
            access_log: AccessLog::Off,
            ..settings()
        };
        let (fabric, proxy) = rig(made, config).await;
        let mut stream = begin(proxy.address()).await;
        let mut rest = Vec::new();
        let end = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest));
        end.await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "", "nothing was added");
        assert_eq!(told.recv().await, Some(0), "it does not look whole");
        drop(stream);
        eventually(async || fabric.metrics.callers.get() == 0).await;
    }
}
