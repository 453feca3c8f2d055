//! Tests of the engine as a whole.

mod affinity;
mod differences;
mod documents;
mod paths;
mod tables;
mod weighing;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::*;
use crate::model::Identity;

/// Gives the scripted numbers, then zeros, and keeps what it was asked for.
#[derive(Default)]
struct Script {
    numbers: Vec<u32>,
    asked: Vec<u32>,
}

impl Script {
    fn of(numbers: &[u32]) -> Self {
        Self {
            numbers: numbers.to_vec(),
            asked: Vec::new(),
        }
    }
}

impl Draw for Script {
    fn below(&mut self, n: u32) -> u32 {
        let next = self.numbers.get(self.asked.len()).copied().unwrap_or(0);
        self.asked.push(n);
        next
    }
}

fn table(rules: Value) -> RuleTable<String> {
    let rules = parse_value(rules).unwrap().into_iter().map(Arc::new);
    RuleTable::build(rules, None, |rule, backend| {
        format!("{}/{}", rule.id(), backend.tags)
    })
}

/// A request, and what it borrows from.
struct Call {
    caller: Identity,
    service: Option<&'static str>,
    target: String,
    headers: HeaderMap,
}

fn call(target: &str) -> Call {
    Call {
        caller: "web:version=v1".parse().unwrap(),
        service: None,
        target: target.to_owned(),
        headers: HeaderMap::new(),
    }
}

impl Call {
    fn from(mut self, caller: &str) -> Self {
        self.caller = caller.parse().unwrap();
        self
    }

    fn host(mut self, service: &'static str) -> Self {
        self.service = Some(service);
        self
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn request(&self) -> Request<'_> {
        Request {
            caller: &self.caller,
            service: self.service,
            target: &self.target,
            headers: &self.headers,
        }
    }

    /// Destination, rule, tags and target in a line: `reviews jason v2 /0`, or
    /// `reviews - - /0` for the default route.
    fn goes<B>(&self, table: &RuleTable<B>) -> String {
        match table.decide(&self.request(), &mut Script::default()) {
            Err(refused) => refused.to_string(),
            Ok(decision) => {
                let (rule, tags) = match &decision.routed {
                    Some(r) => (r.rule.id().to_string(), r.backend.tags.to_string()),
                    None => ("-".to_owned(), "-".to_owned()),
                };
                format!("{} {rule} {tags} {}", decision.destination, decision.target)
            }
        }
    }
}
