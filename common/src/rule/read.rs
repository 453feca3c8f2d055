//! From a document's values to rules, with every fault in its place.

use std::sync::Arc;

use http::HeaderName;

use super::action::{Abort, Action, Delay, ReturnCode, Trace};
use super::affinity::Affinity;
use super::condition::{Caller, Condition, Header, Headers, Match};
use super::node::{MAX_TAGS, Node, Object};
use super::number::{Seconds, Share};
use super::path::Path;
use super::pattern::Pattern;
use super::route::{Backend, Balance, Resilience, Route, Uri};
use super::weights::Weights;
use super::{Ids, Rule};
use crate::model::{RuleId, ServiceName, Tags};

/// The most backends a route may have.
pub const MAX_BACKENDS: usize = 64;
/// The most actions a rule may have.
pub const MAX_ACTIONS: usize = 64;
/// The most entries that each of `all`, `any` and `none` may have.
pub const MAX_CONDITIONS: usize = 64;
/// The most headers that a condition may name.
pub const MAX_HEADERS: usize = 64;
/// The longest key or value of a trace, in bytes.
pub const MAX_TRACE_BYTES: usize = 1024;

/// Reads one rule. `None` only after a fault was reported.
pub(super) fn rule(node: Node<'_>, ids: Ids) -> Option<Rule> {
    let rule = node.object(&[
        "id",
        "priority",
        "tags",
        "destination",
        "match",
        "route",
        "actions",
    ])?;
    // An empty id is what clients send that have a field for it and no value.
    let id = match rule.get("id").filter(|id| !id.is_empty_text()) {
        Some(id) => id.parse::<RuleId>(),
        None if ids != Ids::Require => RuleId::new(uuid::Uuid::new_v4().to_string()).ok(),
        None => {
            node.fault_in("id", "is required");
            None
        }
    };
    let route_node = rule.get("route");
    let actions_node = rule.get("actions");
    match (&route_node, &actions_node) {
        (Some(_), Some(_)) => rule.fault("has both route and actions; exactly one may be there"),
        (None, None) => rule.fault("has neither route nor actions; one must be there"),
        _ => {}
    }
    let destination = rule.required("destination").and_then(|d| d.parse());
    Some(Rule {
        priority: rule.get("priority").and_then(|p| p.integer()).unwrap_or(0),
        tags: rule.get("tags").map(labels).unwrap_or_default(),
        when: rule.get("match").and_then(conditions),
        route: route_node.and_then(route),
        actions: actions_node.map(actions).unwrap_or_default(),
        id: id?,
        destination: destination?,
    })
}

/// The labels of a rule: the one set of tags that may be empty and repeat itself.
fn labels(node: Node<'_>) -> Tags {
    if node.is_empty_list() {
        return Tags::default();
    }
    let entries = node.entries(MAX_TAGS).into_iter().flatten();
    entries.filter_map(|entry| entry.parse()).collect()
}

fn conditions(node: Node<'_>) -> Option<Match> {
    let parts = ["source", "headers", "all", "any", "none"];
    let object = node.object(&parts)?;
    if parts.iter().all(|name| object.get(name).is_none()) {
        object.fault("must not be empty; leave it out to match every request");
    }
    let list = |name| -> Vec<Condition> {
        let Some(node) = object.get(name) else {
            return Vec::new();
        };
        let entries = node.entries(MAX_CONDITIONS).into_iter().flatten();
        exact(entries.filter_map(condition))
    };
    Some(Match {
        source: object.get("source").and_then(caller),
        headers: object.get("headers").map(headers).unwrap_or_default(),
        all: list("all"),
        any: list("any"),
        none: list("none"),
    })
}

fn condition(node: Node<'_>) -> Option<Condition> {
    let object = node.object(&["source", "headers"])?;
    if object.get("source").is_none() && object.get("headers").is_none() {
        object.fault("must not be empty");
    }
    Some(Condition {
        source: object.get("source").and_then(caller),
        headers: object.get("headers").map(headers).unwrap_or_default(),
    })
}

fn caller(node: Node<'_>) -> Option<Caller> {
    let object = node.object(&["name", "tags"])?;
    Some(Caller {
        name: object.required("name")?.parse()?,
        tags: tags(&object).unwrap_or_default(),
    })
}

fn headers(node: Node<'_>) -> Headers {
    let Some(object) = node.map() else {
        return Headers::default();
    };
    match object.len() {
        0 => object.fault("must not be empty"),
        n if n > MAX_HEADERS => object.fault(format_args!(
            "has {n} headers, at most {MAX_HEADERS} are allowed"
        )),
        _ => {}
    }
    let read = object.iter().take(MAX_HEADERS).filter_map(|(name, node)| {
        let known = name.parse::<HeaderName>();
        let known = node.check(known.map_err(|_| format!("{name:?} is not the name of a header")));
        let pattern = node.text().and_then(|text| node.check(Pattern::new(text)));
        Some(Header {
            written: name.into(),
            name: known?,
            pattern: pattern?,
        })
    });
    Headers(read.collect())
}

/// A list without room for more: most have one entry, and are kept in thousands.
fn exact<T>(entries: impl Iterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = entries.collect();
    list.shrink_to_fit();
    list
}

fn tags(object: &Object<'_>) -> Option<Tags> {
    object.get("tags")?.tags()
}

fn route(node: Node<'_>) -> Option<Route> {
    let object = node.object(&[
        "backends",
        "uri",
        "http_req_timeout",
        "http_req_retries",
        "affinity",
    ])?;
    Some(Route {
        affinity: object.get("affinity").and_then(affinity),
        uri: object.get("uri").and_then(uri),
        http_req_timeout: object.get("http_req_timeout").and_then(above_zero),
        http_req_retries: object.get("http_req_retries").and_then(|n| n.count()),
        backends: object.required("backends").map(backends)?,
    })
}

fn backends(node: Node<'_>) -> Vec<Backend> {
    let before = node.report().len();
    let Some(entries) = node.entries(MAX_BACKENDS) else {
        return Vec::new();
    };
    let backends = exact(entries.filter_map(backend));
    // The sum says nothing while a weight is wrong in itself.
    if node.report().len() == before {
        node.check(Weights::new(backends.iter().map(|b| b.weight)));
    }
    backends
}

fn backend(node: Node<'_>) -> Option<Backend> {
    let object = node.object(&["name", "tags", "weight", "timeout", "lb_type", "resilience"])?;
    let tags = object.required("tags").and_then(|t| t.tags());
    Some(Backend {
        name: object.get("name").and_then(|n| n.parse::<ServiceName>()),
        weight: object.get("weight").and_then(share),
        timeout: object.get("timeout").and_then(above_zero),
        lb_type: object.get("lb_type").and_then(balance),
        resilience: object.get("resilience").and_then(resilience).map(Box::new),
        tags: tags?,
    })
}

fn balance(node: Node<'_>) -> Option<Balance> {
    let text = node.text()?;
    let known = Balance::NAMES.into_iter().find(|(name, _)| *name == text);
    node.check(known.map(|(_, b)| b).ok_or_else(|| {
        let names = Balance::NAMES.map(|(name, _)| name).join(", ");
        format!("must be one of {names}")
    }))
}

fn resilience(node: Node<'_>) -> Option<Resilience> {
    let object = node.object(&[
        "max_connections",
        "max_pending_requests",
        "max_requests",
        "max_requests_per_connection",
        "consecutive_errors",
        "sleep_window",
        "detection_interval",
    ])?;
    let count = |name| object.get(name).and_then(|n| n.count());
    let seconds = |name| {
        let node = object.get(name)?;
        node.check(Seconds::at_least_zero(node.number()?))
    };
    Some(Resilience {
        max_connections: count("max_connections"),
        max_pending_requests: count("max_pending_requests"),
        max_requests: count("max_requests"),
        max_requests_per_connection: count("max_requests_per_connection"),
        consecutive_errors: count("consecutive_errors"),
        sleep_window: seconds("sleep_window"),
        detection_interval: seconds("detection_interval"),
    })
}

fn affinity(node: Node<'_>) -> Option<Affinity> {
    let object = node.object(&["cookie"])?;
    Some(Affinity {
        cookie: object.required("cookie")?.parse()?,
    })
}

/// An empty text is absent here: clients exist that always send all three members.
fn uri(node: Node<'_>) -> Option<Uri> {
    let object = node.object(&["path", "prefix", "prefix_rewrite"])?;
    let filled = |name| object.get(name).filter(|n| !n.is_empty_text());
    let read = |node: Node<'_>| node.text().and_then(|text| node.check(Path::new(text)));
    let rewrite = filled("prefix_rewrite");
    match (filled("path"), filled("prefix")) {
        (Some(path), None) => {
            if let Some(rewrite) = rewrite {
                rewrite.fault("goes with prefix only");
            }
            read(path).map(|path| Uri::Path { path })
        }
        (None, Some(prefix)) => Some(Uri::Prefix {
            prefix_rewrite: rewrite.and_then(read),
            prefix: read(prefix)?,
        }),
        (Some(_), Some(_)) => {
            object.fault("has both path and prefix; exactly one may be there");
            None
        }
        (None, None) => {
            object.fault("has neither path nor prefix; one must be there");
            None
        }
    }
}

fn share(node: Node<'_>) -> Option<Share> {
    node.check(Share::try_from(node.number()?))
}

fn above_zero(node: Node<'_>) -> Option<Seconds> {
    node.check(Seconds::above_zero(node.number()?))
}

fn actions(node: Node<'_>) -> Vec<Action> {
    let entries = node.entries(MAX_ACTIONS).into_iter().flatten();
    exact(entries.filter_map(action))
}

fn action(node: Node<'_>) -> Option<Action> {
    let kind = node.map()?;
    let kind = kind.required("action")?;
    match kind.text()? {
        "delay" => {
            let object = node.object(&["action", "duration", "probability", "tags"])?;
            let duration = object.required("duration").and_then(above_zero);
            let probability = object.get("probability").and_then(share);
            let tags = tags(&object);
            Some(Action::Delay(Delay::new(duration?, probability, tags)))
        }
        "abort" => {
            let object = node.object(&["action", "return_code", "probability", "tags"])?;
            let code = object.required("return_code");
            let code = code.and_then(|n| n.check(ReturnCode::try_from(n.integer()?)));
            let probability = object.get("probability").and_then(share);
            let tags = tags(&object);
            Some(Action::Abort(Abort::new(code?, probability, tags)))
        }
        "trace" => {
            let object = node.object(&["action", "log_key", "log_value", "tags"])?;
            let text = |name| -> Option<Arc<str>> {
                let text = object.get(name)?.bounded_text(MAX_TRACE_BYTES)?;
                Some(text.into())
            };
            let key = text("log_key").filter(|key| !key.is_empty());
            Some(Action::Trace(Trace::new(
                key,
                text("log_value"),
                tags(&object),
            )))
        }
        _ => {
            kind.fault("must be one of delay, abort, trace");
            None
        }
    }
}
