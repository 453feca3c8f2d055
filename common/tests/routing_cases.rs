//! Every case of `cases/routing.yaml`, through the public interface.
//!
//! Shares are counted over all outcomes of the draw, so they are compared exactly.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use a8_common::model::{Identity, ServiceName, Tag};
use a8_common::rule::{self, Draw, Outcome, Request, RuleTable};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Cases {
    cases: Vec<Case>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    rules: Value,
    request: Asked,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    to: String,
    from: Caller,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Caller {
    name: String,
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    backend: BTreeMap<String, f64>,
    #[serde(default)]
    default: bool,
    rule: Option<String>,
    #[serde(default)]
    fault: Faults,
    #[serde(default)]
    trace: BTreeMap<String, String>,
}

#[derive(Deserialize, Default, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Faults {
    delay: Option<f64>,
    abort: Option<i16>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    rule: Value,
    at: String,
}

/// Gives each outcome of the first draw once, one a run.
#[derive(Default)]
struct Exhaust {
    next: u32,
    outcomes: u32,
}

impl Draw for Exhaust {
    fn below(&mut self, n: u32) -> u32 {
        self.outcomes = n;
        self.next
    }
}

fn cases() -> Cases {
    serde_saphyr::from_str(include_str!("cases/routing.yaml")).unwrap()
}

#[test]
fn every_case_is_routed_as_written() {
    let cases = cases().cases;
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    for case in cases {
        check(&case);
    }
}

fn check(case: &Case) {
    let name = &case.name;
    let rules = rule::parse_value(case.rules.clone()).expect(name);
    let table = RuleTable::build(rules.into_iter().map(Arc::new), None, |_, _| ());
    let caller = Identity {
        service: ServiceName::new(&case.request.from.name).unwrap(),
        tags: case.request.from.tags.iter().cloned().collect(),
    };
    let headers: HeaderMap = case
        .request
        .headers
        .iter()
        .map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        })
        .collect();
    let target = format!("/{}/0?q=1", case.request.to);
    let request = Request {
        caller: &caller,
        service: None,
        target: &target,
        headers: &headers,
    };

    let mut drawn: BTreeMap<String, f64> = BTreeMap::new();
    let mut draw = Exhaust::default();
    loop {
        let decision = table.decide(&request, &mut draw).unwrap();
        assert_eq!(decision.destination, case.request.to, "{name}");
        assert_eq!(decision.target, "/0?q=1", "{name}");
        assert_eq!(decision.routed.is_none(), case.expect.default, "{name}");
        if let Some(routed) = &decision.routed {
            if let Some(wanted) = &case.expect.rule {
                assert_eq!(routed.rule.id().as_str(), wanted, "{name}");
            }
            let service = routed.backend.service(routed.rule.destination());
            let key = format!("{service} {}", routed.backend.tags);
            *drawn.entry(key).or_default() += 1.0;
        }
        let fault = Faults {
            delay: decision.delay.map(|d| d.what.as_secs_f64()),
            abort: decision.abort.map(|a| a.what.number()),
        };
        assert_eq!(fault, case.expect.fault, "{name}");
        let trace = decision.traces.iter();
        let trace = trace.map(|t| (t.log_key().to_owned(), t.log_value().to_owned()));
        assert_eq!(
            trace.collect::<BTreeMap<_, _>>(),
            case.expect.trace,
            "{name}"
        );
        draw.next += 1;
        if draw.next >= draw.outcomes {
            break;
        }
    }
    let runs = f64::from(draw.next);
    drawn.values_mut().for_each(|share| *share /= runs);
    assert_eq!(drawn, case.expect.backend, "{name}");

    // What explains is what decides.
    let why = table.explain(&request, &mut Exhaust::default()).unwrap();
    assert_eq!(why.rule.is_none(), case.expect.default, "{name}");
    let held = why.routing.iter().filter(|c| c.outcome == Outcome::Held);
    assert_eq!(held.count(), usize::from(!case.expect.default), "{name}");
}

#[test]
fn every_refused_rule_is_refused_at_its_place() {
    let refused = cases().refused;
    assert!(refused.len() >= 12, "only {} refused", refused.len());
    for Refused { name, rule, at } in refused {
        let faults = rule::parse_value(rule.clone()).expect_err(&name);
        let places: Vec<_> = faults.iter().map(|f| (f.rule, f.path.as_str())).collect();
        assert_eq!(places, [(None, at.as_str())], "{name}: {faults}");

        let set = serde_json::json!({"rules": [{"destination": "d", "actions": [{"action": "trace"}]}, rule]});
        let faults = rule::parse_value(set).expect_err(&name);
        let places: Vec<_> = faults.iter().map(|f| (f.rule, f.path.as_str())).collect();
        assert_eq!(places, [(Some(1), at.as_str())], "{name}: {faults}");
    }
}

#[test]
fn the_example_of_the_documentation_is_valid() {
    let text = include_str!("../../docs/rules.md");
    let (_, example) = text.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    assert_eq!(rule::parse_yaml(example).unwrap().len(), 2);
}
