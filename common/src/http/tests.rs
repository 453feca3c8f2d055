use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json};
use futures_util::stream;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::*;
use crate::auth::Authenticator;

fn shape(reply: &Reply) -> Value {
    json!({"code": reply.code(), "error": reply.text()})
}

fn server() -> Server {
    Server {
        limits: Limits {
            body: 1024,
            request_timeout: Duration::from_secs(5),
            ..Limits::default()
        },
        auth: Authenticator::trusted(),
        https: Https::default(),
        shape,
        metrics: Metrics::new(prometheus::Registry::new()).expect("fresh"),
        health: Health::new(),
        stop: Stop::new(),
    }
}

#[derive(serde::Deserialize)]
struct Number {
    number: u8,
}

fn api() -> Router {
    Router::new()
        .route(
            "/things/{id}",
            get(|Caller(namespace): Caller| async move { namespace.to_string() }),
        )
        .route(
            "/echo",
            post(|Caller(_): Caller, body: JsonBody| async move {
                let [number]: [Number; 1] = body.parse()?;
                Ok::<_, Reply>(Json(number.number))
            }),
        )
        .route("/panic", get(async || -> Response { panic!("on purpose") }))
        .route(
            "/slow",
            get(async || -> Response { std::future::pending().await }),
        )
        .route(
            "/stream",
            get(|Extension(stop): Extension<Stop>| async move {
                let lines = stream::unfold((stop, true), |(stop, first)| async move {
                    if !first {
                        stop.wait().await;
                        return None;
                    }
                    Some((Ok::<_, std::io::Error>("first\n"), (stop, false)))
                });
                Body::from_stream(lines).into_response()
            }),
        )
        .route("/query", get(async |_: Query<Number>| ()))
        .route(
            "/away",
            get(async || Reply::unavailable("away", "gone", Duration::from_millis(1500))),
        )
        .route("/base", get(async |base: BaseUrl| base.0))
        .route("/id", get(async |id: RequestId| id.to_string()))
}

fn a_request(method: Method, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer team")
        .header("host", "a8.example:80")
}

async fn call(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let response = router.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    (parts.status, parts.headers, text)
}

async fn fetch(router: &Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let request = a_request(Method::GET, path).body(Body::empty());
    call(router, request.expect("a request")).await
}

async fn send(router: &Router, kind: Option<&str>, body: impl Into<Body>) -> (StatusCode, String) {
    let mut request = a_request(Method::POST, "/echo");
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    let (status, _, text) = call(router, request.body(body.into()).expect("a request")).await;
    (status, text)
}

#[tokio::test]
async fn what_the_stack_itself_answers_has_the_servers_shape() {
    let router = server().router(api());
    for (path, status, code) in [
        ("/nothing", 404, "no_such_route"),
        ("/echo", 405, "method_not_allowed"),
        ("/panic", 500, "internal"),
        ("/query?number=x", 400, "bad_request"),
        ("/away", 503, "away"),
    ] {
        let (found, headers, text) = fetch(&router, path).await;
        assert_eq!(found.as_u16(), status, "{path}: {text}");
        assert_eq!(headers["content-type"], "application/json", "{path}");
        let body: Value = serde_json::from_str(&text).expect(path);
        assert_eq!(body["code"], code, "{path}");
        assert!(!text.contains("on purpose"), "{text}");
    }
    let (_, headers, _) = fetch(&router, "/echo").await;
    assert_eq!(headers["allow"], "POST");
    let (_, headers, _) = fetch(&router, "/away").await;
    assert_eq!(headers["retry-after"], "2");
}

#[tokio::test]
async fn a_body_is_json_and_bounded_and_its_faults_are_named() {
    let router = server().router(api());
    let json = Some("application/json; charset=utf-8");
    assert_eq!(
        send(&router, json, r#"[{"number": 7}]"#).await,
        (StatusCode::OK, "7".into())
    );
    for (kind, body, status, says) in [
        (None, "[]", 415, "application/json"),
        (Some("text/plain"), "[]", 415, "application/json"),
        (Some("application/jsonx"), "[]", 415, "application/json"),
        (json, "", 400, "no body"),
        (json, "[{\"number\": 7]", 400, "line 1 column 14"),
        (json, "[{\"number\": 7}] x", 400, "after the body"),
        (
            json,
            "[{\"number\": 700}]",
            400,
            "[0].number: invalid value",
        ),
        (json, "[{}]", 400, "[0]: missing field"),
        (json, "\u{0}", 400, "line 1"),
    ] {
        let (found, text) = send(&router, kind, body).await;
        assert_eq!(found.as_u16(), status, "{body:?}: {text}");
        assert!(text.contains(says), "{body:?}: {text}");
    }
    let deep = "[".repeat(1000);
    assert_eq!(send(&router, json, deep).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_announced_or_not() {
    let router = server().router(api());
    let json = Some("application/json");
    let large = format!("[{}]", " ".repeat(2000));
    let (status, text) = send(&router, json, large.clone()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{text}");
    let pieces = stream::iter([Ok::<_, std::io::Error>("[".to_owned()), Ok(large)]);
    let (status, text) = send(&router, json, Body::from_stream(pieces)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{text}");
    assert!(text.contains("too_large"), "{text}");
}

#[tokio::test]
async fn callers_are_authenticated_before_their_body_is_read() {
    let router = server().router(api());
    assert_eq!(fetch(&router, "/things/1").await.2, "team");
    let request = Request::post("/echo")
        .header("content-type", "text/plain")
        .body(Body::from("x".repeat(500)));
    let (status, headers, _) = call(&router, request.expect("a request")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers["www-authenticate"], "Bearer");
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_is_cut_but_a_stream_is_not() {
    let server = server();
    let stop = server.stop.clone();
    let router = server.router(api());
    let (status, headers, text) = fetch(&router, "/slow").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("timeout"), "{text}");
    assert_eq!(headers["retry-after"], "1");

    let request = a_request(Method::GET, "/stream").body(Body::empty());
    let response = router.oneshot(request.expect("a request")).await;
    let mut body = response.expect("infallible").into_body();
    assert!(body.frame().await.is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.fire();
    assert!(
        body.frame().await.is_none(),
        "the stream ends with the server"
    );
}

#[tokio::test]
async fn a_sound_request_id_is_kept_and_any_other_replaced() {
    let router = server().router(api());
    let long = "x".repeat(129);
    for (given, kept) in [
        ("abc-123", true),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        (long.as_str(), false),
    ] {
        let request = a_request(Method::GET, "/id").header("x-request-id", given);
        let request = request.body(Body::empty()).expect("a request");
        let (_, headers, text) = call(&router, request).await;
        let id = headers["x-request-id"].to_str().expect("plain");
        assert_eq!(id, text);
        assert_eq!(id == given, kept, "{given:?}");
        assert!(!id.is_empty());
    }
    let (_, headers, _) = fetch(&router, "/nothing").await;
    assert!(headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn https_is_required_of_the_api_but_not_of_probes() {
    let mut server = server();
    server.https = Https {
        required: true,
        proxies: vec!["10.0.0.0/8".parse().expect("a network")],
    };
    let router = server.router(api());
    assert_eq!(fetch(&router, "/base").await.0, StatusCode::FORBIDDEN);
    assert_eq!(fetch(&router, "/health").await.0, StatusCode::OK);
    let from = |peer: &str| {
        let mut request = a_request(Method::GET, "/base")
            .header("x-forwarded-proto", "https")
            .body(Body::empty())
            .expect("a request");
        let peer: SocketAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(Peer(peer));
        request
    };
    assert_eq!(
        call(&router, from("192.0.2.1:1")).await.0,
        StatusCode::FORBIDDEN
    );
    let (status, _, text) = call(&router, from("10.0.0.1:1")).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "https://a8.example:80")
    );
}

#[tokio::test]
async fn readiness_follows_its_guards_and_the_end() {
    let server = server();
    let (health, stop) = (server.health.clone(), server.stop.clone());
    let router = server.router(api());
    let pending = health.pending("store");
    let (status, _, text) = fetch(&router, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("store"), "{text}");
    drop(pending);
    assert_eq!(fetch(&router, "/ready").await.0, StatusCode::OK);
    stop.fire();
    let (status, _, text) = fetch(&router, "/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("stopping"), "{text}");
    assert_eq!(fetch(&router, "/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_have_no_label_that_a_caller_chose() {
    let router = server().router(api());
    fetch(&router, "/things/secret-name").await;
    fetch(&router, "/odd-path").await;
    let method = Method::from_bytes(b"ODDMETHOD").expect("a method");
    let request = a_request(method, "/things/1").body(Body::empty());
    call(&router, request.expect("a request")).await;
    let (_, headers, text) = fetch(&router, "/metrics").await;
    assert!(
        headers["content-type"]
            .to_str()
            .expect("plain")
            .starts_with("text/plain")
    );
    let line = r#"a8_http_requests_total{code_class="2xx",method="GET",route="/things/{id}"} 1"#;
    assert!(text.contains(line), "{text}");
    assert!(
        text.contains(r#"code_class="4xx",method="(other)",route="/things/{id}"} 1"#),
        "{text}"
    );
    assert!(text.contains(r#"route="(none)""#), "{text}");
    assert!(text.contains("process_resident_memory_bytes"), "{text}");
    for word in ["secret-name", "odd-path", "ODDMETHOD"] {
        assert!(!text.contains(word), "{word}");
    }
}

/// A server on a free port of loopback.
struct Running {
    address: SocketAddr,
    stop: Stop,
    task: JoinSet<()>,
}

impl Running {
    async fn start(limits: Limits, grace: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = Server {
            limits: limits.clone(),
            ..server()
        };
        let stop = server.stop.clone();
        let router = server.router(api());
        let ends = stop.clone();
        let mut task = JoinSet::new();
        task.spawn(async move { serve(listener, router, &limits, ends, grace).await });
        Self {
            address,
            stop,
            task,
        }
    }

    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    async fn ends(mut self) {
        let ended = soon(self.task.join_next()).await;
        ended.expect("one task").expect("no panic");
    }
}

/// What a busy machine, too, manages in time.
async fn soon<F: Future>(work: F) -> F::Output {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, work).await.expect("in time")
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset ends the reading too; what came before it is what counts.
    let _ = soon(stream.read_to_end(&mut text)).await;
    String::from_utf8(text).expect("UTF-8")
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut buffer = [0; 1024];
        let n = soon(stream.read(&mut buffer)).await.expect("read");
        assert!(n > 0, "ended early: {text}");
        text.push_str(std::str::from_utf8(&buffer[..n]).expect("ASCII"));
    }
    text
}

const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let slow = server.connect("GET / HTTP/1.1\r\nHost:").await;
    let text = read_all(slow).await;
    assert!(text.is_empty() || text.contains("408"), "{text}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let limits = Limits {
        head: 8192,
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(8192));
    let text = read_all(server.connect(&head).await).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn connections_over_the_bound_wait() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let server = Running::start(limits, GRACE).await;
    let ask = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = server.connect(ask).await;
    read_until(&mut first, "true}").await;
    let mut second = server.connect(ask).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second has to wait");
    drop(first);
    read_until(&mut second, "true}").await;
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_streams_at_once() {
    let server = Running::start(Limits::default(), GRACE).await;
    let mut idle = server
        .connect("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut idle, "true}").await;
    let mut watch = server
        .connect("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut watch, "first").await;
    server.stop.fire();
    assert_eq!(read_all(idle).await, "");
    // The end of a chunked body, so that the reader knows that nothing is missing.
    assert!(read_all(watch).await.ends_with("0\r\n\r\n"));
    let address = server.address;
    server.ends().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_does_not_end_in_time_is_cut() {
    let server = Running::start(Limits::default(), Duration::from_millis(50)).await;
    let mut slow = server
        .connect("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    // The answer to a second connection says that the first has been accepted.
    let mut probe = server
        .connect("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    read_until(&mut probe, "true}").await;
    server.stop.fire();
    server.ends().await;
    let mut byte = [0];
    assert!(!matches!(soon(slow.read(&mut byte)).await, Ok(n) if n > 0));
}

#[tokio::test]
async fn a_port_in_use_is_told_apart() {
    let held = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = held.local_addr().expect("bound");
    let found = listen(address).await.expect_err("in use");
    assert!(matches!(found, ListenError::InUse { .. }), "{found}");
    let nowhere = "192.0.2.1:0".parse().expect("an address");
    let found = listen(nowhere)
        .await
        .expect_err("not an address of this machine");
    assert!(matches!(found, ListenError::Other { .. }), "{found}");
}
