mod listener;

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
        .route(
            "/flood",
            get(async || {
                let piece = || Ok::<_, std::io::Error>("x".repeat(65_536));
                Body::from_stream(stream::repeat_with(piece))
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
