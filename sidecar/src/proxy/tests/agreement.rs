//! What requests meet is what the rule engine says: over real connections, for documents made
//! at random, with the shares that the engine draws.

use std::collections::BTreeMap;
use std::sync::Arc;

use a8_common::model::Identity;
use a8_common::rule::{self, Decision, Request, ReturnCode, RuleTable};
use fastrand::Rng;
use http::{HeaderMap, HeaderName};
use serde_json::{Value, json};

use crate::proxy::AccessLog;
use crate::testkit::{DEADLINE, Fabric, Origin, instance, raw};

const DOCUMENTS: u64 = 25;
const REQUESTS: u32 = 200;
/// How often the engine is asked for what it does.
const DRAWS: u32 = 40_000;
const SERVICES: [&str; 2] = ["s", "t"];
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

/// What comes of one request: `backend rule status fault trace`.
type Outcome = String;

fn any<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn condition(rng: &mut Rng) -> Value {
    match rng.u8(..4) {
        0 => json!({"source": {"name": any(rng, &["web", "other"])}}),
        1 => json!({"source": {"name": "web", "tags": [any(rng, &["v1", "v2"])]}}),
        2 => json!({"headers": {"X-User": any(rng, &["jason", "j.*", "[a-i].*", ".*"])}}),
        _ => json!({"headers": {"Cookie": any(rng, &[".*user=jason.*", "^(.*?;)?(a=1)(;.*)?$"])}}),
    }
}

fn matches(rng: &mut Rng) -> Value {
    let mut when = condition(rng);
    for list in ["all", "any", "none"] {
        if rng.u8(..4) == 0 {
            when[list] = json!([condition(rng), condition(rng)]);
        }
    }
    when
}

fn backends(rng: &mut Rng) -> Value {
    let mut versions = VERSIONS.to_vec();
    rng.shuffle(&mut versions);
    let shares = [0.0, 0.05, 0.25, 0.29];
    let all = versions
        .iter()
        .take(rng.usize(1..=3))
        .enumerate()
        .map(|(at, version)| {
            // The last takes what is left.
            match at {
                0 | 1 if versions.len() > at + 1 && rng.bool() => {
                    json!({"tags": [version], "weight": shares[rng.usize(..4)]})
                }
                _ => json!({"tags": [version]}),
            }
        });
    let mut all: Vec<Value> = all.collect();
    if let Some(last) = all.last_mut() {
        *last = json!({"tags": last["tags"]});
    }
    Value::Array(all)
}

fn actions(rng: &mut Rng) -> Value {
    let probability = [0.0, 0.1, 0.5, 1.0][rng.usize(..4)];
    let mut action = match rng.u8(..3) {
        0 => json!({"action": "delay", "duration": 0.001, "probability": probability}),
        1 => {
            let code = [200, 418, 503, -1][rng.usize(..4)];
            json!({"action": "abort", "return_code": code, "probability": probability})
        }
        _ => json!({"action": "trace", "log_key": any(rng, &["k1", "k2"]), "log_value": "v"}),
    };
    if rng.bool() {
        action["tags"] = json!([any(rng, &VERSIONS)]);
    }
    json!([action])
}

fn document(rng: &mut Rng) -> Value {
    let rules = (0..rng.usize(1..9)).map(|n| {
        let mut rule = json!({
            "id": format!("r{n}"),
            "priority": rng.u8(..3),
            "destination": any(rng, &SERVICES),
        });
        if rng.u8(..3) > 0 {
            rule["match"] = matches(rng);
        }
        match rng.bool() {
            true => rule["route"] = json!({"backends": backends(rng)}),
            false => rule["actions"] = actions(rng),
        }
        rule
    });
    json!({"rules": rules.collect::<Vec<_>>()})
}

fn headers(rng: &mut Rng) -> Vec<(&'static str, &'static str)> {
    let mut fields = Vec::new();
    if rng.bool() {
        fields.push(("x-user", any(rng, &["jason", "anna", "zoe"])));
    }
    if rng.bool() {
        fields.push((
            "cookie",
            any(rng, &["user=jason", "a=1;b=2", "a=1; user=jason"]),
        ));
    }
    fields
}

/// What the engine says of one draw, as it is to be seen in the log.
fn told(decision: &Decision<'_, ()>) -> Outcome {
    let (backend, rule) = match &decision.routed {
        Some(routed) => {
            let service = routed.backend.service(routed.rule.destination());
            (
                format!("{service}:{}", routed.backend.tags),
                routed.rule.id().to_string(),
            )
        }
        None => (decision.destination.to_string(), "null".to_owned()),
    };
    let status = match decision.abort.as_ref().map(|abort| abort.what) {
        None => 200,
        Some(ReturnCode::Status(status)) => status.as_u16(),
        Some(ReturnCode::Close(_)) => 0,
    };
    let delay = decision
        .delay
        .as_ref()
        .map(|d| format!("delay={}", d.what.as_secs_f64()));
    let abort = decision
        .abort
        .as_ref()
        .map(|a| format!("abort={}", a.what.number()));
    let fault: Vec<_> = delay.into_iter().chain(abort).collect();
    let mut traces: Vec<_> = decision.traces.iter().map(|t| t.log_key()).collect();
    traces.sort_unstable();
    traces.dedup();
    format!(
        "{backend} {rule} {status} {} {}",
        fault.join(","),
        traces.join(",")
    )
}

/// The same of a line of the log.
fn logged(line: &Value) -> Outcome {
    let text = |name: &str| line[name].as_str().unwrap_or("null").to_owned();
    let fault = line["fault"].as_str().unwrap_or_default();
    let keys = ["k1", "k2"];
    let traces: Vec<_> = keys.into_iter().filter(|k| line.get(k).is_some()).collect();
    let status = &line["status"];
    format!(
        "{} {} {status} {fault} {}",
        text("dst"),
        text("rule"),
        traces.join(",")
    )
}

#[tokio::test]
async fn requests_meet_what_the_engine_says() {
    let mut origins = Vec::new();
    let mut fabric = Fabric::new().await;
    for service in SERVICES {
        for version in VERSIONS {
            let origin = Origin::echo("up").await;
            fabric
                .put(instance(service, version, &origin.value()))
                .await;
            origins.push(origin);
        }
    }
    let mut outcomes = 0;
    for seed in 0..DOCUMENTS {
        let mut rng = Rng::with_seed(seed);
        let document = document(&mut rng);
        let (service, fields) = (any(&mut rng, &SERVICES), headers(&mut rng));
        let seen = seen(&mut fabric, &document, service, &fields).await;
        let expected = expected(&document, service, &fields, &mut rng);
        outcomes += expected.len();
        for outcome in seen.keys().chain(expected.keys()) {
            let p = f64::from(expected.get(outcome).copied().unwrap_or(0)) / f64::from(DRAWS);
            let got = f64::from(seen.get(outcome).copied().unwrap_or(0));
            let n = f64::from(REQUESTS);
            // Six standard deviations of what is counted, and of what the engine was asked.
            let sigma = (n * p * (1.0 - p)).sqrt() * (1.0 + (n / f64::from(DRAWS)).sqrt());
            assert!(
                (got - n * p).abs() <= 6.0 * sigma + 1e-9,
                "{outcome}: {got} of {REQUESTS}, share {p}\nseen {seen:?}\nof {expected:?}\n\
                 seed {seed}, to {service} with {fields:?} by {document:#}"
            );
        }
    }
    assert!(
        outcomes > DOCUMENTS as usize * 3 / 2,
        "too little to choose from: {outcomes}"
    );
}

/// How often the engine does what.
fn expected(
    document: &Value,
    service: &str,
    fields: &[(&str, &str)],
    rng: &mut Rng,
) -> BTreeMap<Outcome, u32> {
    let rules = rule::parse_value(document.clone()).unwrap();
    let table = RuleTable::build(rules.into_iter().map(Arc::new), None, |_, _| ());
    let caller: Identity = "web:v1".parse().unwrap();
    let headers: HeaderMap = fields
        .iter()
        .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), value.parse().unwrap()))
        .collect();
    let target = format!("/{service}/");
    let request = Request {
        caller: &caller,
        service: None,
        target: &target,
        headers: &headers,
    };
    let mut counts = BTreeMap::new();
    for _ in 0..DRAWS {
        *counts
            .entry(told(&table.decide(&request, rng).unwrap()))
            .or_default() += 1;
    }
    counts
}

/// How often the log tells of what.
async fn seen(
    fabric: &mut Fabric,
    document: &Value,
    service: &str,
    fields: &[(&str, &str)],
) -> BTreeMap<Outcome, u32> {
    fabric.rules(&document.to_string()).await;
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let proxy = fabric.proxy(AccessLog::File(log.clone()));
    let fields: String = fields
        .iter()
        .map(|(n, v)| format!("{n}: {v}\r\n"))
        .collect();
    let text =
        format!("GET /{service}/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    for _ in 0..REQUESTS {
        // No answer is an answer, too: a rule may close the connection.
        let _ = raw(proxy.address(), &text).await;
    }
    proxy.drain(DEADLINE).await;
    let mut counts = BTreeMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *counts.entry(logged(&line)).or_default() += 1;
    }
    counts
}
