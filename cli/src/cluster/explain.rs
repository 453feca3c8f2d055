//! Where a request would go, and why: by the engine of the sidecars, here.

use std::io::Write;

use a8_common::kubernetes::Cluster;
use a8_common::model::{EndpointType, Identity, Instance, Tags};
use a8_common::rule::{Explanation, Request, RuleTable};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::instances;
use super::rules::Rules;
use crate::args::Explain;
use crate::error::Error;
use crate::wire::Refusal;

/// Who calls where nobody is named: no rule asks for such a caller.
const NOBODY: &str = "unknown";

/// In the form of a sidecar's answer.
#[derive(Serialize)]
struct Answer {
    from: String,
    #[serde(flatten)]
    explanation: Explanation,
    known: bool,
    instances: Vec<String>,
}

/// As a sidecar answers to `/explain`.
///
/// # Errors
/// [`Error`], as the cluster has it, and for questions that make no sense.
pub(crate) async fn ask(
    cluster: &Cluster,
    explain: &Explain,
    notes: &mut dyn Write,
) -> Result<Value, Error> {
    let from: Identity = explain
        .from
        .as_deref()
        .unwrap_or(NOBODY)
        .parse()
        .map_err(|e| bad("--from", &e))?;
    let headers = headers(&explain.header)?;
    let rules = Rules::new(cluster).read(notes).await?.rules;
    let instances = instances::look(cluster).await?;
    let rules = rules.into_values().map(Into::into);
    let table = RuleTable::<()>::build(rules, None, |_, _| ());
    let mut draw = fastrand::Rng::new();
    let explanation = match (&explain.service, explain.tcp) {
        (Some(service), true) => table.explain_stream(&from, service, &mut draw),
        (service, _) => {
            let request = Request {
                caller: &from,
                service: service.as_deref(),
                target: explain.path.as_deref().unwrap_or("/"),
                headers: &headers,
            };
            table.explain(&request, &mut draw)
        }
    };
    let explanation = explanation.map_err(|e| bad("", &e))?;
    let destination = explanation.destination.as_str();
    let known = instances
        .iter()
        .any(|instance| instance.service_name.as_str() == destination);
    let takes = instances
        .iter()
        .filter(|instance| goes_to(&explanation, instance, explain.tcp));
    let labels: Vec<String> = takes.filter_map(|instance| label(instance)).collect();
    let answer = Answer {
        from: from.to_string(),
        known,
        instances: labels,
        explanation,
    };
    serde_json::to_value(&answer).map_err(|e| bad("", &e))
}

/// Whether the request could go to `instance`.
fn goes_to(told: &Explanation, instance: &Instance, tcp: bool) -> bool {
    let drawn = told.backends.iter().find(|backend| backend.drawn);
    let none = Tags::default();
    let (service, tags) = match drawn {
        Some(drawn) => (drawn.name.as_str(), &drawn.tags),
        None => (told.destination.as_str(), &none),
    };
    let kind = instance.endpoint.kind();
    let speaks = match kind {
        EndpointType::Http | EndpointType::Https => true,
        EndpointType::Tcp => tcp,
        EndpointType::Udp | EndpointType::User => false,
    };
    speaks && instance.service_name.as_str() == service && instance.tags.contains_all(tags)
}

fn label(instance: &Instance) -> Option<String> {
    let at = instance.endpoint.authority().ok()?;
    let default = match instance.endpoint.kind() {
        EndpointType::Https => 443,
        _ => 80,
    };
    let port = at.port.unwrap_or(default);
    Some(match at.host.contains(':') {
        true => format!("[{}]:{port}", at.host),
        false => format!("{}:{port}", at.host),
    })
}

fn headers(given: &[String]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for header in given {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| bad(header, &"must be Name:value"))?;
        let name: HeaderName = name.trim().parse().map_err(|e| bad(header, &e))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|e| bad(header, &e))?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn bad(what: &str, why: &dyn std::fmt::Display) -> Error {
    let text = match what.is_empty() {
        true => why.to_string(),
        false => format!("{what}: {why}"),
    };
    Error::Unfit(Refusal::new("bad_query", text))
}
