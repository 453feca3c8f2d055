//! `/explain`: what the proxy would do with a request or a byte stream, by the proxy's own
//! table, and why.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use a8_common::http::Reply;
use a8_common::model::Identity;
use a8_common::rule::{Explanation, Request};
use axum::Json;
use axum::extract::{RawQuery, State};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::Sidecar;
use crate::proxy::{AffinityKey, Routes, Upstream};

/// The request or the byte stream that is asked about.
#[derive(Debug)]
struct Question {
    from: Identity,
    /// The service of the TCP proxy, if it is a byte stream.
    tcp: Option<String>,
    to: Option<String>,
    path: String,
    headers: HeaderMap,
}

#[derive(Serialize)]
pub(super) struct Answer {
    from: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// Whether there is such a service.
    known: bool,
    /// The instances that it could go to.
    instances: Vec<String>,
}

pub(super) async fn show(
    State(sidecar): State<Sidecar>,
    RawQuery(query): RawQuery,
) -> Result<Json<Answer>, Reply> {
    let proxy = sidecar.proxy()?;
    let question = Question::read(
        &sidecar.me.load().identity,
        query.as_deref().unwrap_or_default(),
    )?;
    answer(&proxy.routes.load(), &proxy.affinity, &question).map(Json)
}

fn answer(routes: &Routes, affinity: &AffinityKey, question: &Question) -> Result<Answer, Reply> {
    let mut draw = fastrand::Rng::new();
    let explanation = match &question.tcp {
        Some(service) => routes
            .table
            .explain_stream(&question.from, service, &mut draw),
        None => {
            let request = Request {
                caller: &question.from,
                service: question.to.as_deref(),
                target: &question.path,
                headers: &question.headers,
            };
            let held =
                &mut |asked: &_, backends: &[_]| affinity.held(asked, backends, &question.headers);
            routes.table.explain_for(&request, &mut draw, held)
        }
    };
    let explanation = explanation.map_err(|e| Reply::bad_request("refused", e.to_string()))?;
    let default = routes.services.get(explanation.destination.as_str());
    let drawn = explanation.backends.iter().find(|b| b.drawn);
    let backend = match (&explanation.rule, drawn) {
        (Some(id), Some(drawn)) => routes
            .table
            .backends()
            .find(|(rule, backend, _)| {
                rule.id() == id
                    && backend.tags == drawn.tags
                    && backend.service(rule.destination()).as_str() == drawn.name
            })
            .map(|(_, _, attachment)| attachment),
        _ => default,
    };
    let instances = backend.map(|backend| {
        let members = backend.members();
        let ejected = backend.ejected(Instant::now());
        let takes = |u: &&Arc<Upstream>| !ejected.iter().any(|(out, _)| out.key == u.key);
        let spoken = match question.tcp {
            Some(_) => &members.usable,
            None => members.http(),
        };
        let takes = spoken.iter().filter(takes);
        takes.map(|u| u.label.to_string()).collect()
    });
    Ok(Answer {
        from: question.from.to_string(),
        known: default.is_some(),
        instances: instances.unwrap_or_default(),
        explanation,
    })
}

impl Question {
    /// `from=name:tag,tag` (the sidecar's own identity when absent), `to=service` (when
    /// absent the path names it), `path=/…`, and any number of `header=Name:value`; or
    /// `tcp=service` in the place of these three.
    fn read(own: &Identity, query: &str) -> Result<Self, Reply> {
        let mut question = Self {
            from: own.clone(),
            tcp: None,
            to: None,
            path: "/".into(),
            headers: HeaderMap::new(),
        };
        let mut given = BTreeSet::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            if !given.insert(name) && name != "header" {
                return Err(bad(name, &value, &"is given twice"));
            }
            match name {
                "from" => {
                    question.from = value.parse().map_err(|e| bad(name, &value, &e))?;
                }
                "to" => question.to = Some(value),
                "tcp" => question.tcp = Some(value),
                "path" => question.path = value,
                "header" => {
                    let (field, text) = value
                        .split_once(':')
                        .ok_or_else(|| bad(name, &value, &"must be Name:value"))?;
                    let field: HeaderName =
                        field.trim().parse().map_err(|e| bad(name, &value, &e))?;
                    let text =
                        HeaderValue::from_str(text.trim()).map_err(|e| bad(name, &value, &e))?;
                    question.headers.append(field, text);
                }
                _ => {
                    return Err(Reply::bad_request(
                        "bad_query",
                        format!("{name:?} is not one of from, to, path, header, tcp"),
                    ));
                }
            }
        }
        let of_requests = ["to", "path", "header"]
            .into_iter()
            .find(|n| given.contains(n));
        match (&question.tcp, of_requests) {
            (Some(service), Some(name)) => {
                let why = format!("a byte stream has no {name}: leave it away");
                Err(bad("tcp", service, &why))
            }
            _ => Ok(question),
        }
    }
}

fn bad(name: &str, value: &str, why: &dyn std::fmt::Display) -> Reply {
    Reply::bad_request("bad_query", format!("{name}={value}: {why}"))
}
