//! Where 1.1.0 did something else: one test for each row of the table in the documentation.

use std::time::Duration;

use serde_json::json;

use super::*;

#[test]
fn d1_the_source_of_a_routing_rule_is_honoured() {
    let table = table(json!([
        {"id": "r", "destination": "b", "match": {"source": {"name": "a", "tags": ["v2"]}},
         "route": {"backends": [{"tags": ["v2"]}]}}
    ]));
    assert_eq!(call("/b").from("a:v2,eu").goes(&table), "b r v2 /");
    assert_eq!(call("/b").from("a:v1").goes(&table), "b - - /");
    assert_eq!(call("/b").from("c:v2").goes(&table), "b - - /");
}

#[test]
fn d2_all_any_and_none_are_there() {
    let table = table(json!([
        {"id": "r", "destination": "b", "match": {
            "all": [{"source": {"name": "a"}}, {"headers": {"X": "1"}}],
            "any": [{"headers": {"Y": "1"}}, {"headers": {"Y": "2"}}],
            "none": [{"headers": {"Z": ".*"}}]},
         "route": {"backends": [{"tags": ["t"]}]}}
    ]));
    let good = || call("/b").from("a").header("x", "1").header("y", "2");
    assert_eq!(good().goes(&table), "b r t /");
    assert_eq!(good().from("c").goes(&table), "b - - /");
    assert_eq!(good().header("z", "").goes(&table), "b - - /");
    let without_any = call("/b").from("a").header("x", "1").header("y", "3");
    assert_eq!(without_any.goes(&table), "b - - /");
}

#[test]
fn d3_faults_fire_without_source_by_destination_and_by_tags() {
    let table = table(json!([
        {"destination": "b", "route": {"backends": [{"tags": ["v1"]}, {"tags": ["v2"]}]}},
        {"destination": "b", "actions": [{"action": "abort", "return_code": 503, "tags": ["v2"]}]},
        {"destination": "c", "actions": [{"action": "delay", "duration": 2}]}
    ]));
    let abort = |to: &str, drawn| {
        let call = call(to);
        let decision = table
            .decide(&call.request(), &mut Script::of(&[drawn]))
            .unwrap();
        (
            decision.abort.map(|a| a.what.number()),
            decision.delay.map(|d| d.what),
        )
    };
    assert_eq!(abort("/b", 0), (None, None));
    assert_eq!(abort("/b", 1), (Some(503), None));
    assert_eq!(abort("/c", 0), (None, Some(Duration::from_secs(2))));
    assert_eq!(abort("/d", 0), (None, None));
}

#[test]
fn d4_nothing_is_resent_unless_asked() {
    let table = table(json!([
        {"destination": "b", "route": {"backends": [{"tags": ["t"]}]}},
        {"destination": "c", "route": {"backends": [{"tags": ["t"]}], "http_req_retries": 2}}
    ]));
    for (to, retries) in [("/a", 0), ("/b", 0), ("/c", 2)] {
        let call = call(to);
        let decision = table
            .decide(&call.request(), &mut Script::default())
            .unwrap();
        assert_eq!(decision.retries, retries, "{to}");
    }
}

#[test]
fn d5_each_backend_has_its_own_resilience_and_balance() {
    let rules = parse_value(
        json!({"id": "r", "destination": "b", "route": {"backends": [
            {"tags": ["v1"], "lb_type": "random", "resilience": {"max_connections": 1}},
            {"tags": ["v2"], "resilience": {"sleep_window": 0.5}, "timeout": 1}
        ]}}),
    );
    let rules = rules.unwrap().into_iter().map(Arc::new);
    let table = RuleTable::build(rules, None, |_, backend| {
        let limits = backend.resilience.clone().unwrap_or_default();
        (
            backend.balance(),
            limits.connections(),
            limits.ejected_for(),
        )
    });
    let to = call("/b");
    for (drawn, timeout, wanted) in [
        (0, 15, (Balance::Random, 1, Duration::from_secs(30))),
        (
            1,
            1,
            (Balance::RoundRobin, 1024, Duration::from_millis(500)),
        ),
    ] {
        let decision = table
            .decide(&to.request(), &mut Script::of(&[drawn]))
            .unwrap();
        assert_eq!(decision.timeout, Duration::from_secs(timeout));
        assert_eq!(*decision.routed.unwrap().attachment, wanted);
    }
}

#[test]
fn d6_a_trace_marks_only_requests_that_match() {
    let table = table(json!([
        {"destination": "b", "match": {"headers": {"User": "jason"}},
         "actions": [{"action": "trace", "log_key": "id", "log_value": "r1"}]},
        {"destination": "b", "priority": -1, "actions": [{"action": "trace", "log_value": "all"}]}
    ]));
    let marks = |call: Call| {
        let decision = table
            .decide(&call.request(), &mut Script::default())
            .unwrap();
        let marks = decision.traces.iter();
        marks
            .map(|t| format!("{}={}", t.log_key(), t.log_value()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        marks(call("/b").header("user", "jason")),
        ["id=r1", "trace=all"]
    );
    assert_eq!(marks(call("/b").header("user", "other")), ["trace=all"]);
    assert_eq!(
        marks(call("/c").header("user", "jason")),
        Vec::<String>::new()
    );
}

#[test]
fn d9_every_fault_is_named_with_its_place_and_reason() {
    let faults = parse_value(json!({"rules": [
        {"destination": "s", "route": {"backends": [{"tags": ["a"], "wieght": 1}, {"weight": 7}]}},
        {"destination": "", "match": {"headers": {"A": "("}}, "actions": [{"action": "delay", "duration": 0}]}
    ]}))
    .unwrap_err();
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "rules[0].route.backends[0].wieght: unknown member; known are name, tags, weight, timeout, lb_type, resilience",
            "rules[0].route.backends[1].tags: is required",
            "rules[0].route.backends[1].weight: must be between 0 and 1, got 7",
            "rules[1].destination: must not be empty",
            "rules[1].match.headers.A: is not a pattern: unclosed group at byte 0",
            "rules[1].actions[0].duration: must be more than 0 and at most 31536000 seconds, got 0",
        ]
    );
}

#[test]
fn d11_a_service_named_by_a_header_rule_keeps_its_default_route() {
    let table = table(json!([
        {"id": "r", "destination": "b", "match": {"headers": {"User": "qa"}},
         "route": {"backends": [{"tags": ["v2"]}]}}
    ]));
    assert_eq!(call("/b/x").goes(&table), "b - - /x");
    assert_eq!(call("/b/x").header("user", "qa").goes(&table), "b r v2 /x");
}

#[test]
fn d12_zero_is_zero_and_29_percent_are_29_percent() {
    let table = table(json!([
        {"destination": "b", "route": {"backends": [
            {"tags": ["none"], "weight": 0}, {"tags": ["a"], "weight": 0.29}, {"tags": ["rest"]}]}},
        {"destination": "b", "actions": [{"action": "abort", "return_code": 500, "probability": 0}]}
    ]));
    let to = call("/b");
    let mut counts = std::collections::BTreeMap::new();
    for n in 0..100 {
        let mut draw = Script::of(&[n]);
        let decision = table.decide(&to.request(), &mut draw).unwrap();
        assert!(decision.abort.is_none());
        // Nothing is drawn for a probability of zero.
        assert_eq!(draw.asked, [100]);
        *counts
            .entry(decision.routed.unwrap().backend.tags.to_string())
            .or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(tags, n)| (tags.as_str(), *n)).collect();
    assert_eq!(counts, [("a", 29), ("rest", 71)]);
}

#[test]
fn d13_rules_have_one_total_order() {
    let rule = |id: &str, priority: i64, matched: bool| {
        let mut rule = json!({"id": id, "priority": priority, "destination": "b",
            "route": {"backends": [{"tags": ["t"]}]}});
        if matched {
            rule["match"] = json!({"source": {"name": "web"}});
        }
        rule
    };
    let table = table(json!([
        rule("a", 0, false),
        rule("m", 0, true),
        rule("z", 5, false),
        rule("l", 0, true),
        rule("n", -1, true),
    ]));
    let why = table
        .explain(&call("/b").request(), &mut Script::default())
        .unwrap();
    let order: Vec<_> = why.routing.iter().map(|c| c.rule.as_str()).collect();
    assert_eq!(order, ["z", "l", "m", "a", "n"]);
    assert_eq!(
        why.routing[1].why,
        "rule z (priority 5) was tried first and held"
    );
}
