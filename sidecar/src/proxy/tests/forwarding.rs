use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::proxy::AccessLog;
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, instance, raw, request};

async fn rig(value: &str) -> (Fabric, crate::proxy::Proxy) {
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", value)).await;
    let proxy = fabric.proxy(AccessLog::Off);
    (fabric, proxy)
}

#[tokio::test]
async fn fields_of_the_hop_stay_on_the_hop_in_both_directions() {
    let origin = Origin::new(|request| async move {
        let seen: Vec<_> = request.headers().keys().map(|k| k.to_string()).collect();
        let mut response = Response::new(Full::from(seen.join(",")));
        for (name, value) in [
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=9"),
            ("proxy-authenticate", "Basic"),
            ("upgrade", "h2c"),
            ("x-kept", "yes"),
            ("server", "theirs"),
            ("set-cookie", "a=1"),
        ] {
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
            .headers_mut()
            .append("set-cookie", "b=2".parse().unwrap());
        response
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let text = "GET /s/ HTTP/1.1\r\nHost: a\r\nConnection: close, X-Private\r\nX-Private: 1\r\n\
                Proxy-Authorization: Basic eA==\r\nUpgrade: websocket\r\nTE: gzip\r\nX-Public: 1\r\n\
                traceparent: 00-1-2-01\r\n\r\n";
    let reply = raw(proxy.address(), text).await.unwrap();
    let seen: Vec<_> = reply.body.split(',').collect();
    for gone in [
        "connection",
        "x-private",
        "proxy-authorization",
        "upgrade",
        "te",
    ] {
        assert!(!seen.contains(&gone), "{gone}: {seen:?}");
    }
    for kept in [
        "x-public",
        "traceparent",
        "x-request-id",
        "x-forwarded-for",
        "host",
    ] {
        assert!(seen.contains(&kept), "{kept}: {seen:?}");
    }
    for gone in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
        "a8-error",
    ] {
        assert_eq!(reply.field(gone), None, "{gone}: {}", reply.head);
    }
    assert_eq!(reply.field("connection"), Some("close"));
    assert_eq!(reply.field("x-kept"), Some("yes"));
    assert_eq!(reply.field("server"), Some("theirs"));
    assert_eq!(
        reply.head.matches("set-cookie").count(),
        2,
        "{}",
        reply.head
    );
}

#[tokio::test]
async fn answers_without_a_body_are_left_as_they_are() {
    let origin = Scripted::new(|mut stream, _| async move {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            let answer = match path {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
                "/bare" => "HTTP/1.1 200 OK\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    for (line, status, length) in [
        ("HEAD /s/head", 200, Some("77")),
        ("HEAD /s/bare", 200, None),
        ("GET /s/204", 204, None),
        ("GET /s/304", 304, None),
        ("GET /s/empty", 200, Some("0")),
    ] {
        let reply = request(proxy.address(), line, &[]).await;
        assert_eq!((reply.status, reply.body.as_str()), (status, ""), "{line}");
        assert_eq!(
            reply.field("content-length"),
            length,
            "{line}: {}",
            reply.head
        );
    }
    assert_eq!(origin.connections(), 1, "all over the same connection");
}

#[tokio::test]
async fn a_body_far_larger_than_any_buffer_passes_in_both_directions() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 512;
    let origin = Origin::new(|request| async move {
        let mut body = request.into_body();
        let mut sum = 0_u64;
        while let Some(frame) = body.frame().await {
            if let Some(data) = frame.unwrap().data_ref() {
                sum += data.iter().map(|b| u64::from(*b)).sum::<u64>();
            }
        }
        let mut answer = sum.to_string().into_bytes();
        answer.resize(PIECE * PIECES, b'.');
        Response::new(Full::from(answer))
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let send = async {
        write
            .write_all(b"POST /s/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let piece = vec![1_u8; PIECE];
        for _ in 0..PIECES {
            write
                .write_all(format!("{PIECE:x}\r\n").as_bytes())
                .await
                .unwrap();
            write.write_all(&piece).await.unwrap();
            write.write_all(b"\r\n").await.unwrap();
        }
        write.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let receive = async {
        let mut all = Vec::new();
        read.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), all) = tokio::time::timeout(DEADLINE, async { tokio::join!(send, receive) })
        .await
        .unwrap();
    let at = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let body = &all[at..];
    assert_eq!(body.len(), PIECE * PIECES);
    let sum = (PIECE * PIECES).to_string();
    assert!(body.starts_with(sum.as_bytes()), "every byte came in");
}

#[tokio::test]
async fn pieces_arrive_as_they_are_sent_and_a_slow_reader_slows_the_sender() {
    // The origin writes until it is not taken any more, and says how much that was.
    let (told, mut how_much) = tokio::sync::mpsc::unbounded_channel();
    let origin = Scripted::new(move |mut stream, _| {
        let told = told.clone();
        async move {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await
                .unwrap();
            let piece = [b'x'; 16 * 1024];
            let mut written = 0_usize;
            loop {
                stream.write_all(b"4000\r\n").await.unwrap();
                let stalled =
                    tokio::time::timeout(Duration::from_secs(2), stream.write_all(&piece));
                if stalled.await.is_err() {
                    break;
                }
                stream.write_all(b"\r\n").await.unwrap();
                written += piece.len();
                assert!(written < 256 << 20, "nothing holds the sender back");
            }
            let _ = told.send(written);
        }
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream
        .write_all(b"GET /s/ HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut seen = String::new();
    while !seen.contains("first") {
        let mut buffer = [0; 64];
        let n = tokio::time::timeout(DEADLINE, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        seen += &String::from_utf8_lossy(&buffer[..n]);
    }
    // From here on nobody reads. What was written then lies in socket buffers only.
    let written = tokio::time::timeout(DEADLINE, how_much.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(written < 64 << 20, "{written}");
}

#[tokio::test]
async fn trailers_and_expectations_pass() {
    let origin = Scripted::new(|mut stream, _| async move {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        while !all.ends_with(b"x-sum: 7\r\n\r\n") {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "{}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&buffer[..n]);
        }
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nTrailer: x-end\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nok\r\n0\r\nx-end: 1\r\n\r\n",
            )
            .await
            .unwrap();
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let exchange = async {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream
            .write_all(
                b"POST /s/ HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: x-sum\r\n\
                  Expect: 100-continue\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .await
            .unwrap();
        let mut buffer = [0; 1024];
        let n = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..n].starts_with(b"HTTP/1.1 100 Continue\r\n"));
        stream
            .write_all(b"3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n")
            .await
            .unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        all
    };
    let all = tokio::time::timeout(DEADLINE, exchange).await.unwrap();
    assert!(all.contains("2\r\nok\r\n0\r\nx-end: 1\r\n\r\n"), "{all}");
}

#[tokio::test]
async fn an_old_caller_gets_a_body_that_ends_with_the_connection() {
    let origin =
        Origin::new(|_| async { Response::new(Full::from(Bytes::from_static(b"hello"))) }).await;
    let (_fabric, proxy) = rig(&origin.value()).await;
    let reply = raw(proxy.address(), "GET /s/ HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello"));
    assert_eq!(reply.field("transfer-encoding"), None);
}

#[tokio::test]
async fn an_endpoint_given_by_name_is_called_by_that_name() {
    let origin = Origin::echo("s").await;
    let port = origin.address.port();
    let (_fabric, proxy) = rig(&format!("http://localhost:{port}")).await;
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert!(
        reply.body.contains(&format!("\nhost: localhost:{port}\n")),
        "{}",
        reply.body
    );
    assert!(
        reply.body.contains("\nx-forwarded-host: localhost:6379\n"),
        "{}",
        reply.body
    );
}
