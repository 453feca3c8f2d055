//! HTTP/2 on either side.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::proxy::AccessLog;
use crate::testkit::{DEADLINE, Fabric, Origin, Scripted, eventually, instance, request};

/// A caller in HTTP/2 with prior knowledge.
pub(super) async fn caller(to: SocketAddr) -> (SendRequest<Full<Bytes>>, JoinSet<()>) {
    let stream = TcpStream::connect(to).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let _ = connection.await;
    });
    (sender, task)
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("http://localhost:6379{path}")).version(Version::HTTP_2)
}

async fn text(response: Response<hyper::body::Incoming>) -> (u16, HeaderMap, String) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    (head.status.as_u16(), head.headers, text)
}

/// An instance that says by its metadata that it speaks HTTP/2.
pub(super) fn speaking_http2(value: &str) -> a8_common::model::Instance {
    let mut json = serde_json::to_value(instance("s", "v1", value)).unwrap();
    json["metadata"] = serde_json::json!({"protocol": "h2"});
    serde_json::from_str(&json.to_string()).unwrap()
}

#[tokio::test]
async fn a_caller_in_http2_reaches_an_instance_in_http1() {
    let origin = Origin::echo("one").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (mut caller, _task) = caller(proxy.address()).await;
    let asked = get("/s/a?b")
        .header("cookie", "a=1")
        .header("cookie", "user=jason")
        .header("te", "trailers");
    let answer = caller
        .send_request(asked.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let (status, _, body) = text(answer).await;
    assert_eq!(status, 200);
    for line in ["one\nGET /a?b\n", "cookie: a=1; user=jason\n", "host: s\n"] {
        assert!(body.contains(line), "{line}: {body}");
    }
    assert!(
        body.contains("x-forwarded-host: localhost:6379\n"),
        "{body}"
    );
    // Many at a time over one connection.
    let mut all = JoinSet::new();
    for at in 0..80 {
        let mut caller = caller.clone();
        let asked = get(&format!("/s/{at}"))
            .body(Full::from(vec![b'x'; 5000]))
            .unwrap();
        all.spawn(async move { text(caller.send_request(asked).await.unwrap()).await.2 });
    }
    for body in all.join_all().await {
        assert!(body.contains("body: 5000"), "{body}");
    }
}

#[tokio::test]
async fn a_caller_in_http1_reaches_an_instance_in_http2() {
    let origin = Origin::http2(|request| async move {
        let version = format!(
            "{:?} {} {:?}",
            request.version(),
            request.uri(),
            request.headers()
        );
        Response::new(Full::from(version))
    })
    .await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for at in 0..20 {
        let reply = request(proxy.address(), &format!("GET /s/{at}"), &[("X-A", "b")]).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(
            reply.body.starts_with(&format!("HTTP/2.0 http://s/{at} ")),
            "{}",
            reply.body
        );
        assert!(reply.body.contains("\"x-a\": \"b\"") && !reply.body.contains("\"host\""));
    }
    assert_eq!(origin.connections(), 1, "all share one");
}

#[tokio::test]
async fn what_an_instance_says_of_its_protocol_counts_from_then_on() {
    let origin = Origin::http2(|_| async { Response::new(Full::from("two")) }).await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 502);
    fabric.put(speaking_http2(&origin.value())).await;
    assert_eq!(request(proxy.address(), "GET /s/", &[]).await.status, 200);
}

#[tokio::test]
async fn one_connection_serves_callers_that_come_at_once() {
    let origin = Origin::http2(|_| async { Response::new(Full::from("ok")) }).await;
    let mut fabric = Fabric::new().await;
    fabric.put(speaking_http2(&origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let mut all = JoinSet::new();
    for _ in 0..50 {
        let to = proxy.address();
        all.spawn(async move { request(to, "GET /s/", &[]).await.status });
    }
    assert_eq!(all.join_all().await, vec![200; 50]);
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn grpc_goes_by_http2_and_keeps_its_trailers() {
    let origin = Origin::http2(|request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let mut response = Response::new(Full::from("answer"));
        response
            .headers_mut()
            .insert("grpc-status", "5".parse().unwrap());
        response
    })
    .await;
    let mut fabric = Fabric::new().await;
    // Nothing is declared: that the caller speaks gRPC is enough.
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (mut caller, _task) = caller(proxy.address()).await;
    let asked = get("/s/pkg.Service/Method")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = caller
        .send_request(asked.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
    assert_eq!(text(answer).await.2, "answer");
}

#[tokio::test]
async fn our_own_replies_to_grpc_are_in_its_own_terms() {
    let origin = Scripted::new(|stream, _| async move { drop(stream) }).await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (mut caller, _task) = caller(proxy.address()).await;
    for (path, code, flag) in [("/s/p.S/M", "14", "UF"), ("/none/p.S/M", "12", "NR")] {
        let asked = get(path).header("content-type", "application/grpc");
        let answer = caller
            .send_request(asked.body(Full::default()).unwrap())
            .await
            .unwrap();
        let (status, fields, body) = text(answer).await;
        assert_eq!((status, body.as_str()), (200, ""));
        assert_eq!(fields["grpc-status"], code);
        assert_eq!(fields["a8-error"], flag);
        assert_eq!(fields["content-type"], "application/grpc");
        assert!(!fields["grpc-message"].is_empty());
    }
}

fn in_flight(fabric: &Fabric) -> u32 {
    let routes = fabric.routes.load();
    routes.table.backends().map(|(.., b)| b.in_flight()).sum()
}

/// Whether no instance is left alone.
fn is_trusted(fabric: &Fabric) -> bool {
    let (routes, now) = (fabric.routes.load(), std::time::Instant::now());
    let mut backends = routes.table.backends();
    backends.all(|(.., b)| b.ejected(now).is_empty())
}

#[tokio::test]
async fn an_upload_that_the_caller_breaks_off_is_not_the_instances_fault() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |request: Request<hyper::body::Incoming>| {
        let tell = tell.clone();
        async move {
            let whole = request.into_body().collect().await.is_ok();
            tell.send(whole).unwrap();
            Response::new(Full::<Bytes>::default())
        }
    };
    // Of two instances one may be left alone.
    let origins = [
        Origin::http2(handler.clone()).await,
        Origin::http2(handler).await,
    ];
    let mut fabric = Fabric::new().await;
    for origin in &origins {
        let made = serde_json::json!({
            "id": origin.value(), "service_name": "s", "status": "UP", "tags": ["v1"],
            "metadata": {"protocol": "h2"}, "endpoint": {"type": "http", "value": origin.value()},
        });
        fabric.put(serde_json::from_value(made).unwrap()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let strict = "[{id: r, destination: s, route: {http_req_retries: RETRIES, backends: \
                   [{tags: [v1], resilience: {consecutive_errors: 1, sleep_window: 600}}]}}]";
    let proxy = fabric.proxy(AccessLog::File(log.clone()));
    let chunked =
        "POST /s/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let sized = "POST /s/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello";
    for (retries, text, rest) in [
        ("0", sized, ""),
        ("0", chunked, ""),
        ("0", chunked, "no length\r\n"),
        ("2", chunked, ""),
    ] {
        fabric.rules(&strict.replace("RETRIES", retries)).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream.write_all(rest.as_bytes()).await.unwrap();
        if rest.is_empty() {
            drop(stream);
            assert_eq!(told.recv().await, Some(false), "{text}");
        } else {
            assert_eq!(told.recv().await, Some(false), "{text}{rest}");
            let mut heard = String::new();
            let _ = stream.read_to_string(&mut heard).await;
            assert_eq!(heard, "", "{text}{rest}");
        }
        eventually(async || in_flight(&fabric) == 0).await;
        assert!(is_trusted(&fabric));
    }
    // And by a reset of its stream.
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(connection);
    let asked = Request::post("http://localhost:6379/s/").body(()).unwrap();
    let (_answer, mut body) = sender.send_request(asked, false).unwrap();
    body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    eventually(async || in_flight(&fabric) == 1).await;
    body.send_reset(h2::Reason::CANCEL);
    eventually(async || in_flight(&fabric) == 0).await;
    assert!(is_trusted(&fabric));
    proxy.drain(DEADLINE).await;
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let told = (line["status"].as_u64(), line["response_flags"].as_str());
        assert_eq!(told, (Some(499), Some("DC")), "{line}");
    }
}

#[tokio::test]
async fn our_own_replies_to_a_head_are_heads_alone() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (mut caller, _task) = caller(proxy.address()).await;
    let mut ask = async |method: Method, kind: &str| {
        let asked = Request::builder()
            .method(method)
            .uri("http://localhost:6379/none/")
            .header("content-type", kind);
        let asked = asked.body(Full::default()).unwrap();
        text(caller.send_request(asked).await.unwrap()).await
    };
    let (status, whole, body) = ask(Method::GET, "text/plain").await;
    assert_eq!((status, whole["a8-error"].as_bytes()), (404, &b"NR"[..]));
    let (status, head, nothing) = ask(Method::HEAD, "text/plain").await;
    assert_eq!((status, nothing.as_str()), (404, ""));
    assert_eq!(head["content-length"], body.len().to_string());
    assert_eq!(head["content-length"], whole["content-length"]);
    assert_eq!(head["content-type"], whole["content-type"]);
    // Without a body anyway.
    let (status, head, _) = ask(Method::HEAD, "application/grpc").await;
    assert_eq!((status, head.get("content-length")), (200, None));
    // And as ever in HTTP/1.
    let reply = request(proxy.address(), "HEAD /none/", &[]).await;
    let length = body.len().to_string();
    assert_eq!(
        (reply.field("content-length"), reply.body.as_str()),
        (Some(length.as_str()), "")
    );
}

#[tokio::test]
async fn a_closed_connection_is_a_reset_of_the_stream_alone() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    fabric
        .rules(
            "[{id: r, destination: s, route: {backends: [{tags: [v1]}]}},
              {id: f, destination: s, match: {headers: {X-Bad: .*}},
               actions: [{action: abort, return_code: -1}]}]",
        )
        .await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (mut caller, _task) = caller(proxy.address()).await;
    let bad = get("/s/")
        .header("x-bad", "1")
        .body(Full::default())
        .unwrap();
    assert!(caller.send_request(bad).await.is_err());
    let good = get("/s/").body(Full::default()).unwrap();
    assert_eq!(caller.send_request(good).await.unwrap().status(), 200);
}
