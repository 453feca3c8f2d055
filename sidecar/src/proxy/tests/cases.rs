//! Every routing case of the rule engine, with real requests through a real proxy: which
//! instance answers, how often, what is injected, and what the log says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use a8_common::model::{Identity, ServiceName};
use a8_common::rule;
use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use http_body_util::Full;
use serde_json::Value;

use crate::proxy::{AccessLog, Config, Me};
use crate::testkit::{DEADLINE, Fabric, Origin, instance, request, settings};

/// How many requests are made at the same time.
const AT_ONCE: usize = 100;
/// How often that is done; once where requests are held up for seconds.
const ROUNDS: usize = 4;

struct Case {
    name: String,
    rules: Value,
    to: String,
    caller: Identity,
    headers: Vec<(String, String)>,
    expect: Value,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../../common/tests/cases/routing.yaml");
    let file: Value = serde_saphyr::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap().iter().map(|case| {
        let (request, from) = (&case["request"], &case["request"]["from"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let tags = from["tags"].as_array().into_iter().flatten();
        let headers = request["headers"].as_object().into_iter().flatten();
        Case {
            name: text(&case["name"]),
            rules: case["rules"].clone(),
            to: text(&request["to"]),
            caller: Identity {
                service: ServiceName::new(text(&from["name"])).unwrap(),
                tags: tags.map(|t| text(t).parse().unwrap()).collect(),
            },
            headers: headers.map(|(n, v)| (n.clone(), text(v))).collect(),
            expect: case["expect"].clone(),
        }
    });
    cases.collect()
}

/// Every set of instances that the case has a word for, and one that it has none for.
fn known(case: &Case) -> BTreeSet<(String, String)> {
    let mut known = BTreeSet::from([(case.to.clone(), "unnamed".to_owned())]);
    for rule in rule::parse_value(case.rules.clone()).unwrap() {
        for backend in rule.route().into_iter().flat_map(|r| &r.backends) {
            let service = backend.service(rule.destination()).to_string();
            known.insert((service, backend.tags.to_string()));
        }
    }
    known
}

#[tokio::test]
async fn requests_meet_what_the_cases_say() {
    let cases = cases();
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    join_all(cases.iter().map(check)).await;
}

async fn check(case: &Case) {
    let mut fabric = Fabric::new().await;
    let mut origins = Vec::new();
    for (service, tags) in known(case) {
        let label = format!("{service} {tags}");
        let origin = Origin::new(move |_| {
            let label = Bytes::from(label.clone());
            async { Response::new(Full::from(label)) }
        });
        let origin = origin.await;
        fabric.put(instance(&service, &tags, &origin.value())).await;
        origins.push(origin);
    }
    fabric.rules(&case.rules.to_string()).await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let proxy = fabric.start(Config {
        caller: Me::shared(case.caller.clone()),
        access_log: AccessLog::File(log.clone()),
        ..settings()
    });
    let line = format!("GET /{}/", case.to);
    let mut fields: Vec<_> = case
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    fields.push(("Connection", "close"));
    let mut answers: BTreeMap<(u16, String), usize> = BTreeMap::new();
    let delayed = case.expect["fault"]["delay"].is_number();
    let rounds = if delayed { 1 } else { ROUNDS };
    let began = Instant::now();
    for _ in 0..rounds {
        let all = (0..AT_ONCE).map(|_| request(proxy.address(), &line, &fields));
        for reply in join_all(all).await {
            *answers.entry((reply.status, reply.body)).or_default() += 1;
        }
    }
    let took = began.elapsed();
    proxy.drain(DEADLINE).await;
    let log = std::fs::read_to_string(log).unwrap();
    let log: Vec<Value> = log
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(log.len(), rounds * AT_ONCE, "{}", case.name);
    answered_as_expected(case, &answers);
    held_up_as_expected(case, took);
    log.iter().for_each(|line| told_as_expected(case, line));
}

fn answered_as_expected(case: &Case, answers: &BTreeMap<(u16, String), usize>) {
    let Case { name, expect, .. } = case;
    if let Some(code) = expect["fault"]["abort"].as_u64() {
        let only: Vec<_> = answers
            .keys()
            .map(|(status, _)| u64::from(*status))
            .collect();
        assert_eq!(only, [code], "{name}");
        return;
    }
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    if expect["default"] == true {
        // All instances of the service, whatever their tags, in turn.
        let own = known_of(case);
        shares.extend(own.iter().map(|l| (l.as_str(), 1.0 / own.len() as f64)));
        return compare(name, answers, &shares);
    }
    let backends = expect["backend"].as_object().unwrap();
    shares.extend(
        backends
            .iter()
            .map(|(label, p)| (label.as_str(), p.as_f64().unwrap())),
    );
    compare(name, answers, &shares);
}

/// The labels of the instances of the service that is called.
fn known_of(case: &Case) -> Vec<String> {
    let all = known(case).into_iter();
    let own = all.filter(|(service, _)| *service == case.to);
    own.map(|(service, tags)| format!("{service} {tags}"))
        .collect()
}

fn compare(name: &str, answers: &BTreeMap<(u16, String), usize>, shares: &BTreeMap<&str, f64>) {
    for (status, label) in answers.keys() {
        assert_eq!(*status, 200, "{name}: {label}");
        assert!(
            shares.contains_key(label.as_str()),
            "{name}: {label} answered"
        );
    }
    let n = answers.values().sum::<usize>() as f64;
    for (label, p) in shares {
        let got = answers
            .get(&(200, (*label).to_owned()))
            .copied()
            .unwrap_or(0) as f64;
        let sigma = (n * p * (1.0 - p)).sqrt();
        assert!(
            (got - n * p).abs() <= 6.0 * sigma + 1e-9,
            "{name}: {label}: {got} of {n}, share {p}"
        );
    }
}

/// No request was quicker than its delay; how much slower is the machine's affair.
fn held_up_as_expected(case: &Case, took: Duration) {
    let delay = case.expect["fault"]["delay"].as_f64().unwrap_or(0.0);
    assert!(took.as_secs_f64() >= delay, "{}: {took:?}", case.name);
}

fn told_as_expected(case: &Case, line: &Value) {
    let Case { name, expect, .. } = case;
    let delay = expect["fault"]["delay"]
        .as_f64()
        .map(|d| format!("delay={d}"));
    let abort = expect["fault"]["abort"]
        .as_i64()
        .map(|a| format!("abort={a}"));
    let fault: Vec<_> = delay.into_iter().chain(abort).collect();
    assert_eq!(
        line["fault"].as_str().unwrap_or_default(),
        fault.join(","),
        "{name}: {line}"
    );
    if let Some(rule) = expect["rule"].as_str() {
        assert_eq!(line["rule"], rule, "{name}: {line}");
    }
    assert_eq!(
        line["rule"].is_null(),
        expect["default"] == true,
        "{name}: {line}"
    );
    for (key, value) in expect["trace"].as_object().into_iter().flatten() {
        assert_eq!(line[key], *value, "{name}: {line}");
    }
}
