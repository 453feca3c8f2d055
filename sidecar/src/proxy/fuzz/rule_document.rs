use std::sync::Arc;

use a8_common::model::Identity;
use a8_common::rule::{self, Request, Rule, RuleTable};
use http::{HeaderMap, HeaderValue};

use super::{INPUTS, mutant};

/// Documents that say all there is to say.
const SEEDS: [&[u8]; 4] = [
    br#"{"rules":[{"id":"a","priority":2,"tags":["x"],"destination":"s","match":{"source":{"name":"web","tags":["v1"]},"headers":{"Cookie":"^(.*?;)?(user=jason)(;.*)?$"},"any":[{"headers":{"X":"a|b"}}],"none":[{"source":{"name":"y"}}]},"route":{"backends":[{"tags":["v2"],"weight":0.25,"timeout":1.5,"lb_type":"least_request","resilience":{"max_connections":3,"consecutive_errors":2,"sleep_window":1.5}},{"name":"t","tags":["v1"]}],"uri":{"prefix":"/a/","prefix_rewrite":"/b/"},"http_req_timeout":3,"http_req_retries":2,"affinity":{"cookie":"c"}}}]}"#,
    br#"[{"destination":"s","actions":[{"action":"delay","duration":7.5,"probability":0.5,"tags":["v2"]},{"action":"abort","return_code":-5},{"action":"trace","log_key":"k","log_value":"v"}],"match":{"all":[{"headers":{"X":".*"}}]}}]"#,
    b"rules:\n- id: r\n  destination: s\n  route:\n    backends:\n    - {tags: [v1], weight: 0.29}\n    - tags: [v2]\n    uri: {path: /a}\n- destination: &d s\n  actions: [{action: trace}]\n  match: {source: {name: *d}}\n",
    b"{destination: s, route: {backends: [{tags: [a=b]}]}}",
];

const WORDS: [&[u8]; 30] = [
    b"rules",
    b"id",
    b"priority",
    b"tags",
    b"destination",
    b"match",
    b"route",
    b"actions",
    b"source",
    b"headers",
    b"weight",
    b"affinity",
    b"cookie",
    b"uri",
    b"null",
    b"true",
    b"1e999",
    b"-1",
    b"0.1",
    b"18446744073709551616",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\"",
    b"\n- ",
    b"\n  ",
    b"*a",
    b"(a{0,1000}){0,1000}",
    b"\\u0000",
];

#[test]
fn a_rule_document_is_refused_or_means_one_thing() {
    let run = |input: &[u8]| {
        check(input);
        check(&mutant(input, &SEEDS, &WORDS));
    };
    bolero::check!().with_iterations(INPUTS).for_each(run);
}

fn check(document: &[u8]) {
    if let Ok(rules) = rule::parse_json(document) {
        means_one_thing(rules);
    }
    if let Ok(text) = std::str::from_utf8(document)
        && let Ok(rules) = rule::parse_yaml(text)
    {
        means_one_thing(rules);
    }
}

fn means_one_thing(rules: Vec<Rule>) {
    // Written down, it can be read again and is the same.
    let text = serde_json::to_vec(&rules).unwrap();
    let again = rule::parse_json(&text).unwrap();
    assert_eq!(serde_json::to_vec(&again).unwrap(), text);
    // And it can be decided by.
    let caller: Identity = "web:v1".parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x", HeaderValue::from_static("a"));
    headers.insert(
        "cookie",
        HeaderValue::from_bytes(b"user=jason;\xff").unwrap(),
    );
    let table = RuleTable::build(rules.into_iter().map(Arc::new), None, |_, _| ());
    let mut random = fastrand::Rng::with_seed(1);
    for target in ["/s/a", "/a/b?c", "/t"] {
        let request = Request {
            caller: &caller,
            service: None,
            target,
            headers: &headers,
        };
        let decided = table.decide(&request, &mut random).is_ok();
        assert_eq!(table.explain(&request, &mut random).is_ok(), decided);
    }
}
