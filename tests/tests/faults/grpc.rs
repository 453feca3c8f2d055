//! Calls of gRPC that the sidecar cannot pass on.

use a8_tests::caller::{Answer, Caller, request};
use a8_tests::faulty::{Then, frame, settings};
use http::{HeaderValue, Method, Request};
use serde_json::json;

use crate::bench::Plan;

fn call(service: &str) -> Request<http_body_util::Full<bytes::Bytes>> {
    let mut call = request(Method::POST, &format!("/{service}/x"), "call");
    let fields = call.headers_mut();
    fields.insert("content-type", HeaderValue::from_static("application/grpc"));
    fields.insert("te", HeaderValue::from_static("trailers"));
    call
}

/// The outcome of a call that the proxy answered itself.
#[track_caller]
fn outcome(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.fields["server"], "a8sidecar");
    answer.fields["grpc-status"].to_str().unwrap()
}

#[tokio::test]
async fn each_fault_has_its_outcome() {
    let mut plan = Plan::new().await;
    plan.two("broken", settings(), Then::Close).await;
    plan.two("silent", settings(), Then::Stall).await;
    let refused = [settings(), frame(3, 0, 1, &[0, 0, 0, 7])].concat();
    plan.two("refused", refused, Then::Close).await;
    plan.limit("silent", 0.3, 0);
    let bench = plan.start().await;
    for (service, status) in [
        ("broken", "14"),
        ("silent", "4"),
        ("refused", "14"),
        ("nobody", "12"),
    ] {
        let answer = Caller::two(bench.to).send(call(service)).await.unwrap();
        assert_eq!(outcome(&answer), status, "{service}: {answer:?}");
    }
    bench.ends_well().await;
}

#[tokio::test]
async fn bounds_of_requests_and_connections_hold_for_calls() {
    let mut plan = Plan::new().await;
    plan.two("requests", settings(), Then::Stall).await;
    plan.one("pending", "", Then::Stall).await;
    for (service, bound) in [
        ("requests", json!({"max_requests": 1})),
        // The instance speaks HTTP/1 only, as far as anybody knows before it answers.
        ("pending", json!({"max_requests": 2, "max_connections": 1})),
    ] {
        plan.setup.rule(json!({"destination": service, "route": {
            "backends": [{"tags": ["v1"], "resilience": bound}], "http_req_timeout": 5,
        }}));
    }
    let bench = plan.start().await;
    for (service, most) in [("requests", 1), ("pending", 2)] {
        let mut caller = Caller::two(bench.to);
        let mut begun = Vec::new();
        for _ in 0..4 {
            begun.push(caller.begin(call(service)).await.unwrap());
        }
        let answers = futures_util::future::try_join_all(begun).await.unwrap();
        let outcomes: Vec<_> = answers.iter().map(outcome).collect();
        let count = |status: &str| outcomes.iter().filter(|o| **o == status).count();
        assert_eq!(
            (count("4"), count("14")),
            (most, 4 - most),
            "{service}: {outcomes:?}"
        );
    }
    bench.ends_well().await;
}
