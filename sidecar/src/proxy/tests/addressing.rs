use crate::proxy::AccessLog;
use crate::testkit::{Fabric, Origin, instance, raw, request};

#[tokio::test]
async fn a_service_is_addressed_by_path_by_host_and_by_absolute_url() {
    let origin = Origin::echo("reviews").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("reviews", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let to = proxy.address();
    // The request line, the host, and what the instance is to see of both.
    for (line, host, path, seen_host) in [
        (
            "GET /reviews/0?a=%20b",
            "localhost:6379",
            "/0?a=%20b",
            "reviews",
        ),
        ("GET /reviews", "127.0.0.1:6379", "/", "reviews"),
        ("GET /reviews?x=1", "[::1]:6379", "/?x=1", "reviews"),
        ("GET /re%76iews//a%2Fb/", "localhost", "//a%2Fb/", "reviews"),
        ("GET /0", "reviews", "/0", "reviews"),
        ("GET /reviews/0", "reviews", "/reviews/0", "reviews"),
        ("GET /0", "Reviews.Amalgam8:80", "/0", "Reviews.Amalgam8:80"),
        ("GET /0", "reviews.amalgam8.", "/0", "reviews.amalgam8."),
        (
            "GET http://reviews.amalgam8/0",
            "other",
            "/0",
            "reviews.amalgam8",
        ),
        (
            "GET http://reviews:9080/0?q",
            "other",
            "/0?q",
            "reviews:9080",
        ),
        ("GET http://reviews", "other", "/", "reviews"),
        (
            "GET http://localhost:6379/reviews/7",
            "other",
            "/7",
            "reviews",
        ),
        // A host that is nobody's name is the proxy's.
        ("GET /reviews/1", "gateway.example:32000", "/1", "reviews"),
        // The caller's own name is how a gateway is reached.
        ("GET /reviews/2", "web:6379", "/2", "reviews"),
    ] {
        let reply = request(to, line, &[("Host", host)]).await;
        assert_eq!(reply.status, 200, "{line} at {host}: {}", reply.body);
        assert!(
            reply.body.contains(&format!("GET {path}\n")),
            "{line} at {host}: {}",
            reply.body
        );
        assert!(
            reply.body.contains(&format!("\nhost: {seen_host}\n")),
            "{line} at {host}: {}",
            reply.body
        );
    }
}

#[tokio::test]
async fn what_addresses_nothing_is_refused_with_the_reason() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    for (line, host, status, error) in [
        ("GET /", "localhost", 404, "no_such_service"),
        ("GET /nobody/x", "localhost", 404, "no_such_service"),
        ("GET /x", "nobody.amalgam8", 404, "no_such_service"),
        ("GET http://nobody/x", "localhost", 404, "no_such_service"),
        ("GET //s/x", "localhost", 404, "no_such_service"),
        ("GET /s/../x", "localhost", 400, "bad_path"),
        ("GET /s/%2e%2E/x", "localhost", 400, "bad_path"),
        ("GET /../x", "s", 400, "bad_path"),
        ("CONNECT s:80", "s:80", 405, "method_not_allowed"),
        ("GET /s/x", "a b", 400, "bad_request"),
        ("GET /s/x", "u@s", 400, "bad_request"),
    ] {
        let reply = request(proxy.address(), line, &[("Host", host)]).await;
        assert_eq!(reply.status, status, "{line} at {host}: {}", reply.body);
        assert_eq!(reply.json()["error"], error, "{line} at {host}");
        assert_eq!(reply.field("server"), Some("a8sidecar"));
        let flag = if status == 404 { "NR" } else { "BR" };
        assert_eq!(reply.field("a8-error"), Some(flag), "{line}");
        assert_eq!(reply.field("allow").is_some(), status == 405, "{line}");
    }
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn a_caller_of_the_old_protocol_need_not_name_a_host() {
    let origin = Origin::echo("s").await;
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &origin.value())).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let old = raw(proxy.address(), "GET /s/a HTTP/1.0\r\n\r\n").await;
    let old = old.unwrap();
    assert_eq!(old.status, 200);
    assert!(old.body.starts_with("s\nGET /a\n"), "{}", old.body);
}
