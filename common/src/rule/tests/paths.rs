use serde_json::json;

use super::*;

fn route(id: &str, destination: &str, uri: Value) -> Value {
    json!({"id": id, "destination": destination,
        "route": {"backends": [{"tags": ["t"]}], "uri": uri}})
}

#[test]
fn the_first_segment_or_the_host_names_the_service() {
    let table = table(json!([]));
    for (target, goes) in [
        ("/reviews/0", "reviews - - /0"),
        ("/reviews", "reviews - - /"),
        ("/reviews/", "reviews - - /"),
        ("/reviews?x=/..", "reviews - - /?x=/.."),
        ("/reviews/a%2Fb%20c?q#", "reviews - - /a%2Fb%20c?q#"),
        ("/re%76iews/a", "reviews - - /a"),
        ("/reviews//a/./b", "reviews - - //a/./b"),
        ("/", "the request names no service"),
        ("//reviews", "the request names no service"),
        ("/%ff/x", "the request names no service"),
        ("*", "the path does not begin with '/'"),
        ("", "the path does not begin with '/'"),
        ("?x", "the path does not begin with '/'"),
    ] {
        assert_eq!(call(target).goes(&table), goes, "{target}");
    }
    assert_eq!(
        call("/a/b?c").host("reviews").goes(&table),
        "reviews - - /a/b?c"
    );
    assert_eq!(call("/").host("reviews").goes(&table), "reviews - - /");
}

#[test]
fn a_path_that_climbs_out_is_refused() {
    let table = table(json!([]));
    let refused = "the path climbs out of its service by '..'";
    for target in [
        "/reviews/../ratings",
        "/reviews/%2e%2e/ratings",
        "/reviews/a/../../b",
        "/..",
        "/%2E./reviews",
        "/reviews/..%2fratings",
    ] {
        assert_eq!(call(target).goes(&table), refused, "{target}");
    }
    assert_eq!(call("/../x").host("reviews").goes(&table), refused);
    assert_eq!(call("/reviews/a/../b").goes(&table), "reviews - - /a/../b");
    assert_eq!(
        call("/a/../b").host("reviews").goes(&table),
        "reviews - - /a/../b"
    );
}

#[test]
fn an_exact_path_is_a_candidate_whatever_it_addresses() {
    let table = table(json!([route(
        "r",
        "ratings",
        json!({"path": "/api/v1/stars"})
    )]));
    assert_eq!(
        call("/api/v1/stars?n=1").goes(&table),
        "ratings r t /api/v1/stars?n=1"
    );
    assert_eq!(
        call("/api/v1/%73tars").goes(&table),
        "ratings r t /api/v1/%73tars"
    );
    let by_host = call("/api/v1/stars").host("web");
    assert_eq!(by_host.goes(&table), "ratings r t /api/v1/stars");
    for other in [
        "/api/v1/stars/",
        "/api/v1",
        "/api/v1%2Fstars",
        "/api//v1/stars",
    ] {
        assert!(call(other).goes(&table).starts_with("api - - "), "{other}");
    }
}

#[test]
fn a_prefix_is_of_whole_segments_and_is_rewritten_with_one_slash() {
    for prefix in ["/api/rev", "/api/rev/"] {
        let to_root = json!({"prefix": prefix, "prefix_rewrite": "/"});
        let to_v2 = json!({"prefix": prefix, "prefix_rewrite": "/v2/"});
        let kept = json!({"prefix": prefix, "path": "", "prefix_rewrite": ""});
        for (target, root, v2) in [
            ("/api/rev", "/", "/v2/"),
            ("/api/rev/", "/", "/v2/"),
            ("/api/rev?x", "/?x", "/v2/?x"),
            ("/api/rev/0/%2F?x=/..", "/0/%2F?x=/..", "/v2/0/%2F?x=/.."),
            ("/api/r%65v/0", "/0", "/v2/0"),
        ] {
            let goes =
                |uri: &Value| call(target).goes(&table(json!([route("r", "b", uri.clone())])));
            assert_eq!(goes(&to_root), format!("b r t {root}"), "{target}");
            assert_eq!(goes(&to_v2), format!("b r t {v2}"), "{target}");
            assert_eq!(goes(&kept), format!("b r t {target}"), "{target}");
        }
        let table = table(json!([route("r", "b", to_root)]));
        assert_eq!(call("/api/reviews").goes(&table), "api - - /reviews");
        assert_eq!(call("/api").goes(&table), "api - - /");
    }
}

#[test]
fn a_prefix_is_not_climbed_out_of() {
    let table = table(json!([route(
        "r",
        "b",
        json!({"prefix": "/api/v1", "prefix_rewrite": "/x"})
    )]));
    let refused = "the path climbs out of its service by '..'";
    assert_eq!(call("/api/v1/../admin").goes(&table), refused);
    assert_eq!(call("/api/v1/a/../b").goes(&table), "b r t /x/a/../b");
}

#[test]
fn the_prefix_of_everything_wants_every_path() {
    let table = table(json!([route(
        "r",
        "b",
        json!({"prefix": "/", "prefix_rewrite": "/all"})
    )]));
    assert_eq!(call("/").goes(&table), "b r t /all/");
    assert_eq!(call("/x/y").goes(&table), "b r t /all/x/y");
}

#[test]
fn all_candidates_compete_in_one_order() {
    let plain = json!({"id": "plain", "priority": 2, "destination": "api",
        "route": {"backends": [{"tags": ["t"]}]}});
    let mut deep = route("deep", "b", json!({"prefix": "/api/v1"}));
    let mut exact = route("exact", "c", json!({"path": "/api/v1/x"}));
    let build = |deep: &Value, exact: &Value| table(json!([plain, deep, exact]));
    assert_eq!(
        call("/api/v1/x").goes(&build(&deep, &exact)),
        "api plain t /v1/x"
    );
    deep["priority"] = json!(3);
    assert_eq!(
        call("/api/v1/x").goes(&build(&deep, &exact)),
        "b deep t /api/v1/x"
    );
    exact["priority"] = json!(4);
    exact["match"] = json!({"headers": {"K": "v"}});
    let table = build(&deep, &exact);
    assert_eq!(call("/api/v1/x").goes(&table), "b deep t /api/v1/x");
    assert_eq!(
        call("/api/v1/x").header("k", "v").goes(&table),
        "c exact t /api/v1/x"
    );
}

#[test]
fn actions_are_those_of_the_destination_found() {
    let table = table(json!([
        route("r", "ratings", json!({"prefix": "/api"})),
        {"destination": "ratings", "actions": [{"action": "abort", "return_code": 418}]},
        {"destination": "api", "actions": [{"action": "abort", "return_code": 500}]}
    ]));
    let call = call("/api/x");
    let decision = table
        .decide(&call.request(), &mut Script::default())
        .unwrap();
    assert_eq!(decision.abort.unwrap().what.number(), 418);
}

#[test]
fn a_byte_stream_has_neither_path_nor_headers() {
    let table = table(json!([
        route("everything", "other", json!({"prefix": "/"})),
        route("root", "db", json!({"path": "/"})),
        {"id": "header", "priority": 3, "destination": "db", "match": {"headers": {"K": ".*"}},
            "route": {"backends": [{"tags": ["h"]}]}},
        {"id": "caller", "priority": 2, "destination": "db",
            "match": {"source": {"name": "web"}, "none": [{"headers": {"K": ".*"}}]},
            "route": {"backends": [{"tags": ["c"]}], "http_req_retries": 2}},
        {"id": "rest", "destination": "db", "route": {"backends": [{"tags": ["r"]}]}},
        {"id": "slow", "destination": "db",
            "actions": [{"action": "delay", "duration": 1, "tags": ["c"]}]}
    ]));
    let goes = |caller: &str, service: &str| {
        let caller = caller.parse().unwrap();
        let mut draw = Script::default();
        let decision = table.decide_stream(&caller, service, &mut draw)?;
        let rule = decision.routed.map(|r| r.rule.id().to_string());
        Ok((rule, decision.retries, decision.delay.is_some()))
    };
    assert_eq!(goes("web:v1", "db"), Ok((Some("caller".into()), 2, true)));
    assert_eq!(goes("cron", "db"), Ok((Some("rest".into()), 0, false)));
    assert_eq!(goes("web:v1", "elsewhere"), Ok((None, 0, false)));
    assert_eq!(goes("web:v1", ""), Err(Refused::NoService));
}
