//! Laws of the rule engine, over generated documents.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::cmp::Ordering;
use std::sync::Arc;

use a8_common::model::Identity;
use a8_common::rule::{self, Draw, Request, Rule, RuleTable};
use http::HeaderMap;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Member names and texts that mean something somewhere, so that nonsense gets far.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "rules",
            "id",
            "priority",
            "tags",
            "destination",
            "match",
            "route",
            "actions",
            "source",
            "headers",
            "all",
            "any",
            "none",
            "name",
            "backends",
            "weight",
            "timeout",
            "lb_type",
            "resilience",
            "uri",
            "path",
            "prefix",
            "prefix_rewrite",
            "http_req_timeout",
            "action",
            "delay",
            "abort",
            "trace",
            "duration",
            "return_code",
            "probability",
            "random",
            "/a",
            "(",
            "max_requests",
            "sleep_window",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ]
}

fn nonsense() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0..1.0).prop_map(|n: f64| Value::from(n)),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            btree_map(word(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object(members: Vec<(&str, Option<Value>)>) -> Value {
    let there = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

fn tags() -> impl Strategy<Value = Value> + Clone {
    proptest::collection::btree_set("[a-z0-9=.]{1,5}", 1..4).prop_map(|set| json!(set))
}

fn condition() -> impl Strategy<Value = Value> {
    let source = ("[a-c]", option::of(tags()))
        .prop_map(|(name, tags)| object(vec![("name", Some(json!(name))), ("tags", tags)]));
    let pattern = proptest::sample::select(vec!["v", ".*user=j(;.*)?", "a|b", "", r"\d+", "^x$"]);
    let headers = btree_map("[A-Za-z][A-Za-z-]{0,5}", pattern, 1..3).prop_map(|h| json!(h));
    prop_oneof![
        source.clone().prop_map(|s| json!({"source": s})),
        headers.clone().prop_map(|h| json!({"headers": h})),
        (source, headers).prop_map(|(s, h)| json!({"source": s, "headers": h})),
    ]
}

fn matching() -> impl Strategy<Value = Value> {
    let list = || option::of(vec(condition(), 1..3).prop_map(Value::from));
    (condition(), list(), list(), list()).prop_map(|(mut own, all, any, none)| {
        for (name, entries) in [("all", all), ("any", any), ("none", none)] {
            if let Some(entries) = entries {
                own[name] = entries;
            }
        }
        own
    })
}

/// Weights of so many permille, which add up to at most one; the last backend has none.
fn backends() -> impl Strategy<Value = Vec<Value>> {
    vec((0_u32..200, tags(), option::of(0.001..1e6)), 1..5).prop_map(|list| {
        let last = list.len() - 1;
        let one = |(i, (permille, tags, timeout)): (usize, (u32, Value, Option<f64>))| {
            let weight = (i < last).then(|| json!(f64::from(permille) / 1000.0));
            object(vec![
                ("tags", Some(tags)),
                ("weight", weight),
                ("timeout", timeout.map(Value::from)),
            ])
        };
        list.into_iter().enumerate().map(one).collect()
    })
}

fn uri() -> impl Strategy<Value = Value> {
    let path = || "(/[a-c%]{1,2}){0,2}/".prop_map(|p| p.replace('%', "%61"));
    prop_oneof![
        path().prop_map(|p| json!({"path": p})),
        (path(), option::of(path())).prop_map(|(p, r)| object(vec![
            ("prefix", Some(json!(p))),
            ("prefix_rewrite", r.map(Value::from))
        ])),
    ]
}

fn body() -> impl Strategy<Value = (&'static str, Value)> {
    let route = (
        backends(),
        option::of(uri()),
        option::of(0.1..100.0),
        option::of(0..9_u32),
        option::of("[A-Za-z0-9!#$%&'*+.^_`|~-]{1,9}"),
    )
        .prop_map(|(backends, uri, timeout, retries, cookie)| {
            let route = object(vec![
                ("backends", Some(json!(backends))),
                ("uri", uri),
                ("http_req_timeout", timeout.map(Value::from)),
                ("http_req_retries", retries.map(Value::from)),
                ("affinity", cookie.map(|name| json!({"cookie": name}))),
            ]);
            ("route", route)
        });
    let action = prop_oneof![
        (0.001..100.0, 0.0..=1.0).prop_map(
            |(d, p): (f64, f64)| json!({"action": "delay", "duration": d, "probability": p})
        ),
        (prop_oneof![-5..=0, 200..=599], tags())
            .prop_map(|(code, tags)| json!({"action": "abort", "return_code": code, "tags": tags})),
        "\\PC{0,8}".prop_map(|v| json!({"action": "trace", "log_value": v})),
    ];
    let actions = vec(action, 1..4).prop_map(|list| ("actions", json!(list)));
    prop_oneof![route, actions]
}

/// A document that must load.
fn sensible() -> impl Strategy<Value = Value> {
    let rule = (
        "[a-c]",
        -3..3_i64,
        option::of(tags()),
        option::of(matching()),
        body(),
    );
    vec(rule, 1..12).prop_map(|rules| {
        let one = |(i, (destination, priority, tags, when, (kind, body)))| {
            object(vec![
                ("id", Some(json!(format!("r{i}")))),
                ("priority", Some(json!(priority))),
                ("tags", tags),
                ("destination", Some(json!(destination))),
                ("match", when),
                (kind, Some(body)),
            ])
        };
        json!({"rules": rules.into_iter().enumerate().map(one).collect::<Vec<_>>()})
    })
}

fn loaded(document: &Value) -> Vec<Rule> {
    rule::parse_value(document.clone()).expect("a document that is made to load")
}

/// Each call is answered by the next number of a fixed sequence.
#[derive(Clone)]
struct Sequence(u64);

impl Draw for Sequence {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(n)) as u32
    }
}

/// Remembers how many outcomes there are.
struct Nth(u32, u32);

impl Draw for Nth {
    fn below(&mut self, n: u32) -> u32 {
        self.1 = n;
        self.0
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_value_loads_or_is_refused(document in nonsense()) {
        if let Err(faults) = rule::parse_value(document) {
            prop_assert!(faults.iter().next().is_some());
        }
    }

    #[test]
    fn any_text_loads_or_is_refused(text in "\\PC{0,80}", bytes in vec(any::<u8>(), 0..80)) {
        let _ = rule::parse_yaml(&text);
        let _ = rule::parse_json(text.as_bytes());
        let _ = rule::parse_json(&bytes);
    }

    #[test]
    fn a_document_with_one_member_astray_loads_or_is_refused_there(
        mut document in sensible(), at in 0_usize..12, name in word(), value in nonsense(),
    ) {
        let rules = document["rules"].as_array_mut().unwrap();
        let at = at % rules.len();
        rules[at][name.as_str()] = value;
        if let Err(faults) = rule::parse_value(document) {
            prop_assert!(faults.iter().all(|f| f.rule == Some(at) || f.path == "id"), "{}", faults);
        }
    }

    #[test]
    fn printing_and_reading_again_is_the_identity(document in sensible()) {
        let rules = loaded(&document);
        let json = serde_json::to_string(&rules).unwrap();
        let again = rule::parse_json(json.as_bytes()).unwrap();
        prop_assert_eq!(&again, &rules);
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), json);
        let yaml = serde_saphyr::to_string(&rules).unwrap();
        prop_assert_eq!(rule::parse_yaml(&yaml).unwrap(), rules);
    }

    #[test]
    fn the_order_is_total(document in sensible()) {
        let rules = loaded(&document);
        for a in &rules {
            for b in &rules {
                prop_assert_eq!(a.order(b), b.order(a).reverse());
                prop_assert_eq!(a.order(b) == Ordering::Equal, a.id() == b.id());
                for c in &rules {
                    if a.order(b).is_le() && b.order(c).is_le() {
                        prop_assert!(a.order(c).is_le());
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_loading_changes_nothing_and_explaining_is_deciding(
        document in sensible(), seed: u64,
        caller in "[a-d](:[a-z0-9=.]{1,5})?", target in "(/[a-c]{1,2}){1,3}/?(\\?x)?",
        headers in btree_map("[A-Za-z][A-Za-z-]{0,5}", "(v|a|b|7|k=1;user=j;y|)", 0..3),
    ) {
        let rules: Vec<_> = loaded(&document).into_iter().map(Arc::new).collect();
        let table = RuleTable::build(rules.iter().cloned(), None, |_, _| ());
        let reversed = RuleTable::build(rules.iter().rev().cloned(), Some(&table), |_, _| ());
        let caller: Identity = caller.parse().unwrap();
        let headers: HeaderMap = (&headers.into_iter().collect::<std::collections::HashMap<String, String>>()).try_into().unwrap();
        let request = Request { caller: &caller, service: None, target: &target, headers: &headers };
        let decided = table.decide(&request, &mut Sequence(seed)).unwrap();
        let again = reversed.decide(&request, &mut Sequence(seed)).unwrap();
        prop_assert_eq!(format!("{decided:?}"), format!("{again:?}"));
        let why = table.explain(&request, &mut Sequence(seed)).unwrap();
        prop_assert_eq!(why.rule.as_ref(), decided.routed.as_ref().map(|r| r.rule.id()));
        prop_assert_eq!(why.destination, decided.destination);
        prop_assert_eq!(why.target, decided.target);
    }

    #[test]
    fn shares_are_exact(permilles in vec(0_u32..=1000, 1..6), sharing in 1_usize..4) {
        let mut left = 1000;
        let mut weights: Vec<Option<u32>> = permilles.into_iter().map(|p| {
            let p = p % (left + 1);
            left -= p;
            Some(p)
        }).collect();
        weights.extend(vec![None; sharing]);
        let backends: Vec<_> = weights.iter().enumerate().map(|(i, w)| object(vec![
            ("tags", Some(json!([i.to_string()]))),
            ("weight", w.map(|p| json!(f64::from(p) / 1000.0))),
        ])).collect();
        let rules = loaded(&json!({"id": "r", "destination": "s", "route": {"backends": backends}}));
        let table = RuleTable::build(rules.into_iter().map(Arc::new), None, |_, _| ());
        let caller: Identity = "c".parse().unwrap();
        let headers = HeaderMap::new();
        let request = Request { caller: &caller, service: None, target: "/s", headers: &headers };
        let mut counts = vec![0_u32; weights.len()];
        let mut draw = Nth(0, 1);
        while draw.0 < draw.1 {
            counts[table.decide(&request, &mut draw).unwrap().routed.unwrap().at] += 1;
            draw.0 += 1;
        }
        // In parts of 1000 times the number of those that share, all is whole.
        let sharing = u32::try_from(sharing).unwrap();
        let outcomes = draw.1.max(1);
        for (count, weight) in counts.into_iter().zip(weights) {
            let wanted = weight.map_or(left, |p| p * sharing);
            prop_assert_eq!(u64::from(count) * 1000 * u64::from(sharing), u64::from(wanted) * u64::from(outcomes));
        }
    }
}
