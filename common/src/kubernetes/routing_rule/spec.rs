//! The shape of a rule as the API server checks it. The engine never reads these types: they
//! are what the definition is generated from, and what is sent.
//!
//! Bounds are those of the engine ([`crate::rule`]). Texts and lists that CEL looks at must
//! have one, or the API server refuses the rule as too costly.

#![allow(
    unreachable_pub,
    reason = "the derive makes a copy of each type where nobody sees it"
)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::RoutingRuleStatus;

/// One rule: where requests to a service go, or what is done to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "amalgam8.io",
    version = "v1",
    kind = "RoutingRule",
    plural = "routingrules",
    shortname = "rr",
    category = "amalgam8",
    namespaced,
    status = "RoutingRuleStatus",
    derive = "PartialEq",
    doc = "A routing or action rule of Amalgam8. Its name is the rule's id.",
    validation = Rule::new("!has(self.spec.id) || self.spec.id == '' || self.spec.id == self.metadata.name").message("must be the object's name or be left out").field_path(".spec.id"),
    printcolumn(name = "Destination", type_ = "string", json_path = ".spec.destination", description = "The service being called"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".status.kind", description = "Whether it routes requests or acts on them"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", description = "Higher is tried first"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state", description = "Whether it is in force"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].reason", description = "Why, or why not"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when it is there")
)]
#[x_kube(validation = Rule::new("has(self.route) != has(self.actions)").message("exactly one of route and actions must be there"))]
pub struct RoutingRuleSpec {
    /// The object's name, where it is given at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub id: Option<String>,
    /// Higher is tried first.
    #[serde(default)]
    pub priority: i64,
    /// Labels of the rule itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 64), inner(length(min = 1, max = 384)))]
    pub tags: Option<Vec<String>>,
    /// The service being called.
    #[schemars(length(min = 1, max = 64), extend("pattern" = r"^[^/\x00-\x1f\x7f]+$"))]
    pub destination: String,
    /// When the rule holds; absent: always.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub when: Option<Match>,
    /// Where requests go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// What is done to requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub actions: Option<Vec<Action>>,
}

/// The conditions of a rule. All that are there must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.source) || has(self.headers) || has(self.all) || has(self.any) || has(self.none)").message("must not be empty; leave it out to match every request"))]
pub struct Match {
    /// The caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// Every one of these headers must be there, and its whole value match the pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64), inner(length(max = 8192)))]
    pub headers: Option<BTreeMap<String, String>>,
    /// Each of these must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub all: Option<Vec<Held>>,
    /// At least one of these must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub any: Option<Vec<Held>>,
    /// None of these may hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub none: Option<Vec<Held>>,
}

/// Who calls, and headers; both must hold where both are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.source) || has(self.headers)").message("must not be empty"))]
pub struct Held {
    /// The caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Caller>,
    /// Every one of these headers must be there, and its whole value match the pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64), inner(length(max = 8192)))]
    pub headers: Option<BTreeMap<String, String>>,
}

/// A calling service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// Its name.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// All of these must be among the caller's tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 384)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Option<Vec<String>>,
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.backends.map(b, has(b.weight) ? b.weight : 0.0).sum() <= 1.000001").message("the weights sum to more than 1").field_path(".backends"),
    validation = Rule::new("self.backends.exists(b, !has(b.weight)) || self.backends.map(b, has(b.weight) ? b.weight : 0.0).sum() >= 0.999999").message("the weights sum to less than 1, and no backend is without one").field_path(".backends")
)]
pub struct Route {
    /// The candidates for a request.
    #[schemars(length(min = 1, max = 64))]
    pub backends: Vec<Backend>,
    /// Makes the rule a candidate by path instead of by destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<Uri>,
    /// Seconds until the head of the response must be there, all retries included. Default 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "exclusiveMinimum" = true, "maximum" = 31536000.0))]
    pub http_req_timeout: Option<f64>,
    /// How many more attempts a failed request is given. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub http_req_retries: Option<u32>,
    /// Keeps each caller on the backend that it was given first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

/// One choice of a route: the instances of a service that carry some tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backend {
    /// The service; the rule's destination when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub name: Option<String>,
    /// An instance qualifies when it carries all of these.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 384)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Vec<String>,
    /// The share of requests. Backends without one share what the others leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "maximum" = 1.0))]
    pub weight: Option<f64>,
    /// Overrides the route's `http_req_timeout`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "exclusiveMinimum" = true, "maximum" = 31536000.0))]
    pub timeout: Option<f64>,
    /// How an instance is picked. Default round_robin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["round_robin", "least_request", "random"]))]
    pub lb_type: Option<String>,
    /// Bounds and ejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resilience: Option<Resilience>,
}

/// Bounds of a backend, and when an instance of it is left alone for a while. Absent or 0 is
/// the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resilience {
    /// Connections open at once. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub max_connections: Option<u32>,
    /// Requests waiting for a connection. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub max_pending_requests: Option<u32>,
    /// Requests in flight. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub max_requests: Option<u32>,
    /// Requests after which a connection is given up. Default no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub max_requests_per_connection: Option<u32>,
    /// 5xx answers or connect failures in a row before an instance is ejected. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int64"), range(min = 0, max = 4294967295_u32))]
    pub consecutive_errors: Option<u32>,
    /// Seconds an ejected instance stays out. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "maximum" = 31536000.0))]
    pub sleep_window: Option<f64>,
    /// Seconds between ejection sweeps. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "maximum" = 31536000.0))]
    pub detection_interval: Option<f64>,
}

/// The path by which a rule is a candidate. An empty text is as good as none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(has(self.path) && self.path != '') != (has(self.prefix) && self.prefix != '')").message("exactly one of path and prefix must be there"),
    validation = Rule::new("!has(self.prefix_rewrite) || self.prefix_rewrite == '' || (has(self.prefix) && self.prefix != '')").message("prefix_rewrite goes with prefix only")
)]
pub struct Uri {
    /// This path and no other; it is sent unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), extend("pattern" = "^(/|$)"))]
    pub path: Option<String>,
    /// This path and all below it, by whole segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), extend("pattern" = "^(/|$)"))]
    pub prefix: Option<String>,
    /// What is sent in the prefix's place; absent: the prefix is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), extend("pattern" = "^(/|$)"))]
    pub prefix_rewrite: Option<String>,
}

/// How a caller is kept on its backend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Affinity {
    /// The name of the cookie.
    #[schemars(length(min = 1, max = 64))]
    pub cookie: String,
}

/// One thing that is done to requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("(self.action == 'delay') == has(self.duration)").message("duration goes with delay, which needs it"),
    validation = Rule::new("(self.action == 'abort') == has(self.return_code)").message("return_code goes with abort, which needs it"),
    validation = Rule::new("self.action != 'trace' || !has(self.probability)").message("probability goes with delay and abort only"),
    validation = Rule::new("self.action == 'trace' || !(has(self.log_key) || has(self.log_value))").message("log_key and log_value go with trace only")
)]
pub struct Action {
    /// What it is.
    #[schemars(extend("enum" = ["delay", "abort", "trace"]))]
    pub action: String,
    /// delay: seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "exclusiveMinimum" = true, "maximum" = 31536000.0))]
    pub duration: Option<f64>,
    /// abort: 200 to 599, the status to answer; -5 to 0: close the connection unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -5, max = 599))]
    #[x_kube(validation = Rule::new("self <= 0 || self >= 200").message("must be 200 to 599, or -5 to 0"))]
    pub return_code: Option<i32>,
    /// The share of matching requests that it is done to. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0.0, "maximum" = 1.0))]
    pub probability: Option<f64>,
    /// trace: the member of the log line. Default trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub log_key: Option<String>,
    /// trace: its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub log_value: Option<String>,
    /// Only where the drawn backend was chosen by all of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 384)), extend("x-kubernetes-list-type" = "set"))]
    pub tags: Option<Vec<String>>,
}
