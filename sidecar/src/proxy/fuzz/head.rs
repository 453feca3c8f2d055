use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use a8_common::model::{RuleId, ServiceName};
use arc_swap::ArcSwap;
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Uri, Version};
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;

use super::{INPUTS, mutant};
use crate::proxy::headers::Caller;
use crate::proxy::record::Record;
use crate::proxy::routes::{Plan, Routes};
use crate::proxy::serve::Serve;
use crate::proxy::worker::Worker;
use crate::proxy::{AffinityKey, Me, Metrics, Shared, framing, tls, translate};
use crate::testkit::{Fabric, instance};

const SEEDS: [&[u8]; 8] = [
    b"GET /reviews/0?a=b HTTP/1.1\r\nHost: localhost:6379\r\nCookie: user=jason; stay=x.y\r\nX-Request-Id: 1\r\n\r\n",
    b"POST /api/x/y HTTP/1.1\r\nHost: reviews.amalgam8\r\nTransfer-Encoding: chunked\r\nConnection: close, x-a\r\nX-A: 1\r\n\r\n",
    b"GET http://ratings:80/a%2Fb HTTP/1.1\r\nHost: other\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
    b"GET /chat HTTP/1.1\r\nHost: ratings\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTE: trailers\r\n\r\n",
    b"GET /old/path HTTP/1.0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:6379\r\n\r\n",
    b"CONNECT reviews:443 HTTP/1.1\r\nHost: reviews:443\r\n\r\n",
    b"PUT /re%76iews//..%2f./%2e%2e/x HTTP/1.1\r\nHost: web\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
];

const WORDS: [&[u8]; 28] = [
    b"/",
    b"..",
    b"%2e%2e",
    b"%2F",
    b"%00",
    b"?",
    b"#",
    b"//",
    b"\\",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b"Host: reviews\r\n",
    b"Host: ",
    b"Connection: host, te\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 3\r\n",
    b"Cookie: stay=",
    b"reviews",
    b"ratings",
    b"/api/",
    b"@",
    b":",
    b"[",
    b"HTTP/1.0",
    b"amalgam8",
    b"\xff",
];

const RULES: &str = r#"
- {id: jason, priority: 3, destination: reviews, match: {headers: {Cookie: ".*user=jason.*"}}, route: {backends: [{tags: [v2]}]}}
- {id: split, destination: reviews, route: {backends: [{tags: [v1], weight: 0.25}, {tags: [v2]}], affinity: {cookie: stay}}}
- {id: moved, destination: reviews, route: {backends: [{tags: [v1]}], uri: {prefix: /api/, prefix_rewrite: /inner/}}}
- {id: exact, destination: ratings, route: {backends: [{tags: [v1]}], uri: {path: /old/path}}}
- {id: slow, destination: ratings, actions: [{action: delay, duration: 1}, {action: trace, log_key: path, log_value: v}]}
"#;

static ROUTES: LazyLock<Arc<ArcSwap<Routes>>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut fabric = Fabric::new().await;
        for (service, tag) in [("reviews", "v1"), ("reviews", "v2"), ("ratings", "v1")] {
            fabric.put(instance(service, tag, "127.0.0.1:9")).await;
        }
        fabric.rules(RULES).await;
        fabric.routes.clone()
    })
});

fn serve() -> Serve {
    let shared = Shared {
        routes: ROUTES.clone(),
        metrics: Arc::new(Metrics::new("web")),
        caller: Me::shared("web:v1".parse().unwrap()),
        domain: "amalgam8".into(),
        tls_server: None,
        tls_client: tls::Client::system(),
        idle_timeout: crate::testkit::DEADLINE,
        max_request_body: 0,
        max_callers: 1,
        affinity: Arc::new(AffinityKey::new(None).unwrap()),
        nudges: [Notify::new()].into(),
        leaving: AtomicBool::new(false),
        aborted: AtomicBool::new(false),
    };
    let worker = Worker::new(0, Arc::new(shared), None);
    Serve {
        connection: worker.connections.open(),
        caller: Caller::new([127, 0, 0, 1].into(), false),
        worker,
    }
}

#[test]
fn a_head_is_refused_or_sent_where_it_may_go() {
    thread_local!(static SERVE: Rc<Serve> = Rc::new(serve()));
    let run = |input: &[u8]| {
        SERVE.with(|serve| {
            check(serve, input);
            check(serve, &mutant(input, &SEEDS, &WORDS));
        });
    };
    bolero::check!().with_iterations(INPUTS).for_each(run);
}

/// What the server's parser makes of it, if it takes it.
fn parsed(bytes: &[u8]) -> Option<Parts> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = request.parse(bytes) else {
        return None;
    };
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    head.uri = Uri::try_from(request.path?).ok()?;
    head.version = match request.version? {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(field.value).ok()?;
        head.headers.append(name, value);
    }
    Some(head)
}

fn check(serve: &Serve, bytes: &[u8]) {
    let Some(mut head) = parsed(bytes) else {
        return;
    };
    let asked = head.uri.clone();
    let coded = head.headers.contains_key(TRANSFER_ENCODING);
    let refused = framing::ambiguous(&head, &serve.connection).is_some();
    let codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let clear = codings.eq(["chunked"]);
    assert!(
        refused
            || !coded
            || clear
            || head.headers[TRANSFER_ENCODING]
                .as_bytes()
                .eq_ignore_ascii_case(b"chunked")
    );
    let _ = translate::traffic(&head);
    let now = std::time::Instant::now();
    let mut record = Record::begin(&serve.worker, &serve.connection, &head, now);
    if let Ok(plan) = serve.plan(&mut head, &mut record) {
        goes_where_it_may(&plan, &asked);
        serve.rewrite(&plan, &mut head);
        is_well_formed(&plan, &head);
    }
    record.finish(now);
}

fn goes_where_it_may(plan: &Plan, asked: &Uri) {
    let path = plan.target.path();
    assert!(path.starts_with('/') || path == "*", "{path:?}");
    let (inside, resolved) = resolved(path);
    assert!(inside, "{path:?} climbs");
    match plan.backend.key.rule.as_ref().map(RuleId::as_str) {
        Some("moved") => assert_eq!(resolved[..1], ["inner"], "{path:?}"),
        Some("exact") => assert_eq!(path, "/old/path"),
        _ => {}
    }
    assert_eq!(plan.target.query(), asked.query());
    let service = |name: &str| ServiceName::new(name).unwrap();
    let to = &plan.backend.key.service;
    assert!(
        [service("reviews"), service("ratings")].contains(to),
        "{to:?}"
    );
    let by_path = plan
        .backend
        .key
        .rule
        .as_ref()
        .is_none_or(|rule| rule.as_str() == "split");
    if by_path && !plan.by_host {
        let first = asked.path().split('/').nth(1).unwrap_or_default();
        let first = percent_decode_str(first).decode_utf8().unwrap();
        assert_eq!(first, to.as_str(), "{asked} went to {to:?}");
    }
}

/// Where a server ends up that decodes a path, and then resolves it; and whether it stayed
/// below its root all the way.
fn resolved(path: &str) -> (bool, Vec<String>) {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let (mut inside, mut at) = (true, Vec::new());
    for segment in decoded.split('/') {
        match segment {
            "" | "." => {}
            ".." => inside &= at.pop().is_some(),
            name => at.push(name.to_owned()),
        }
    }
    (inside, at)
}

fn is_well_formed(plan: &Plan, head: &Parts) {
    assert_eq!(head.uri, Uri::from(plan.target.clone()));
    assert!(head.headers.get_all(HOST).iter().count() <= 1);
    for name in [TRANSFER_ENCODING, UPGRADE] {
        assert!(!head.headers.contains_key(&name), "{name} was passed on");
    }
    let kept = head.headers.get_all(CONNECTION).iter();
    assert!(kept.into_iter().all(|v| v == "te"));
    let ids: Vec<_> = head.headers.get_all("x-request-id").iter().collect();
    assert!(matches!(ids[..], [id] if id.to_str().is_ok_and(|id| !id.is_empty())));
    assert_eq!(head.headers.get_all("x-forwarded-for").iter().count(), 1);
}
