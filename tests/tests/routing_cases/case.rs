//! One case of `cases/routing.yaml`, and the judgement over what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use a8_common::rule;
use serde_json::Value;

/// How often an answer of this status and text came.
pub(crate) type Answers = BTreeMap<(u16, String), usize>;

/// Rules, a request, and what must happen to it.
pub(crate) struct Case {
    name: String,
    pub(crate) rules: Value,
    pub(crate) to: String,
    /// The service that calls.
    pub(crate) caller: String,
    pub(crate) caller_tags: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    expect: Value,
}

pub(crate) fn all() -> Vec<Case> {
    let text = include_str!("../../../common/tests/cases/routing.yaml");
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
            caller: text(&from["name"]),
            caller_tags: tags.map(text).collect(),
            headers: headers.map(|(n, v)| (n.clone(), text(v))).collect(),
            expect: case["expect"].clone(),
        }
    });
    cases.collect()
}

impl Case {
    /// Every set of instances that the case has a word for, and one that it has none for:
    /// services and tags.
    pub(crate) fn known(&self) -> BTreeSet<(String, String)> {
        let mut known = BTreeSet::from([(self.to.clone(), "unnamed".to_owned())]);
        for rule in rule::parse_value(self.rules.clone()).unwrap() {
            for backend in rule.route().into_iter().flat_map(|r| &r.backends) {
                let service = backend.service(rule.destination()).to_string();
                known.insert((service, backend.tags.to_string()));
            }
        }
        known
    }

    /// Whether a request takes seconds.
    pub(crate) fn delayed(&self) -> bool {
        self.expect["fault"]["delay"].is_number()
    }

    pub(crate) fn answered_as_expected(&self, answers: &Answers) {
        let Self { name, expect, .. } = self;
        if let Some(code) = expect["fault"]["abort"].as_u64() {
            let only: Vec<u64> = answers
                .keys()
                .map(|(status, _)| u64::from(*status))
                .collect();
            assert_eq!(only, [code], "{name}");
            return;
        }
        let own = self.own();
        let shares = match expect["backend"].as_object() {
            Some(backends) => backends
                .iter()
                .map(|(label, p)| (label.as_str(), p.as_f64().unwrap()))
                .collect(),
            // All instances of the service, whatever their tags, in turn.
            None => own
                .iter()
                .map(|label| (label.as_str(), 1.0 / own.len() as f64))
                .collect(),
        };
        assert_eq!(
            expect["backend"].is_null(),
            expect["default"] == true,
            "{name}"
        );
        compare(name, answers, &shares);
    }

    /// The instances of the service that is called, as they call themselves.
    fn own(&self) -> Vec<String> {
        let all = self.known().into_iter();
        let own = all.filter(|(service, _)| *service == self.to);
        own.map(|(service, tags)| format!("{service} {tags}"))
            .collect()
    }

    /// No request was quicker than its delay; how much slower is the machine's affair.
    pub(crate) fn held_up_as_expected(&self, took: Duration) {
        let delay = self.expect["fault"]["delay"].as_f64().unwrap_or(0.0);
        assert!(took.as_secs_f64() >= delay, "{}: {took:?}", self.name);
    }

    /// What a line of the access log has to say.
    pub(crate) fn told_as_expected(&self, line: &Value) {
        let Self { name, expect, .. } = self;
        let fault = |key: &str| {
            let value = &expect["fault"][key];
            value.is_number().then(|| format!("{key}={value}"))
        };
        let faults: Vec<_> = ["delay", "abort"].into_iter().filter_map(fault).collect();
        assert_eq!(
            line["fault"].as_str().unwrap_or_default(),
            faults.join(","),
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
}

fn compare(name: &str, answers: &Answers, shares: &BTreeMap<&str, f64>) {
    for (status, label) in answers.keys() {
        assert_eq!(*status, 200, "{name}: {label}");
        assert!(
            shares.contains_key(label.as_str()),
            "{name}: {label} answered"
        );
    }
    let n = answers.values().sum::<usize>() as f64;
    for (label, p) in shares {
        let got = answers.get(&(200, (*label).to_owned()));
        let got = got.copied().unwrap_or(0) as f64;
        let sigma = (n * p * (1.0 - p)).sqrt();
        assert!(
            (got - n * p).abs() <= 6.0 * sigma + 1e-9,
            "{name}: {label}: {got} of {n}, share {p}"
        );
    }
}
