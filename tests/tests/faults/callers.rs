//! Callers of HTTP/1 that break its rules behind a request that does not.

use a8_tests::caller::{Caller, request};
use http::Method;

use crate::bench::Plan;

const GOOD: &str = "GET /sane/x HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn what_follows_a_good_request_is_judged_by_itself() {
    let bench = Plan::new().await.start().await;
    let long = format!(
        "GET /sane/x HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let many = format!(
        "GET /sane/x HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "X: y\r\n".repeat(101)
    );
    let far = format!(
        "GET /sane/{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "x".repeat(17_000)
    );
    for (what, more, status) in [
        ("noise", "\0\x01\x02\u{7f}\r\n\r\n", 400),
        ("no version", "GET /sane/x\r\n\r\n", 400),
        ("a version to come", "GET /sane/x HTTP/3.0\r\n\r\n", 400),
        (
            "a bad method",
            "G\u{1}T /sane/x HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
        ),
        ("a long head", &long, 431),
        ("many fields", &many, 431),
        ("a far address", &far, 414),
        (
            "a tunnel",
            "CONNECT sane:80 HTTP/1.1\r\nHost: sane:80\r\nConnection: close\r\n\r\n",
            405,
        ),
    ] {
        let heard = bench.say(format!("{GOOD}{more}").as_bytes()).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        let heads = heard.split("HTTP/1.1 ").skip(1);
        let statuses: Vec<_> = heads.map(|h| h[..3].to_owned()).collect();
        assert_eq!(
            statuses,
            ["200".to_owned(), status.to_string()],
            "{what}: {heard}"
        );
    }
    bench.ends_well().await;
}

/// Chunks that are none end the request and the connection: what is behind them cannot be
/// told from it.
#[tokio::test]
async fn a_body_that_is_none_ends_the_connection() {
    let bench = Plan::new().await.start().await;
    let head = "POST /sane/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in [
        "x\r\nno length\r\n",
        "-1\r\nx\r\n",
        "fffffffffffffffff\r\nx\r\n",
        "1\r\nxx\r\n0\r\n\r\n",
    ] {
        let heard = bench.say(format!("{head}{chunks}{GOOD}").as_bytes()).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(
            heard.matches("HTTP/1.1 200").count() <= 1,
            "{chunks}: {heard}"
        );
        assert!(!heard.contains("\r\n\r\nsane/v1"), "{chunks}: {heard}");
    }
    bench.ends_well().await;
}

#[tokio::test]
async fn callers_that_reset_within_their_body_leave_nothing() {
    let bench = Plan::new().await.start().await;
    for _ in 0..20 {
        for (_, mut caller) in bench.callers() {
            let post = request(Method::POST, "/sane/x", vec![7; 5_000_000]);
            let begun = caller.begin(post).await.unwrap();
            let soon = std::time::Duration::from_millis(fastrand::u64(0..10));
            drop(tokio::time::timeout(soon, begun).await);
            caller.close();
        }
    }
    let mut caller = Caller::two(bench.to);
    let answer = caller.send(request(Method::POST, "/sane/x", "all"));
    assert_eq!(answer.await.unwrap().body, "all");
    drop(caller);
    bench.ends_well().await;
}
