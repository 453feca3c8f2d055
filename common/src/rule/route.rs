//! Where a routing rule sends requests, and how.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::affinity::Affinity;
use super::number::{Seconds, Share};
use super::path::Path;
use crate::model::{ServiceName, Tags};

/// The routing part of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Route {
    /// The candidates for a request; at least one, and their weights add up.
    #[schema(min_items = 1, max_items = 64)]
    pub backends: Vec<Backend>,
    /// Makes the rule a candidate by path instead of by destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<Uri>,
    /// Seconds until the head of the response must be there, all retries included.
    /// Default 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0.0)]
    pub http_req_timeout: Option<Seconds>,
    /// How many more attempts a failed request is given. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_req_retries: Option<u32>,
    /// Keeps each caller on the backend that it was given first. Absent: every request is
    /// drawn for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

impl Route {
    /// The time limit of a request that no rule gives another.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

    /// The time limit of requests to `backend`, which is one of this route's.
    pub fn timeout(&self, backend: &Backend) -> Duration {
        backend
            .timeout
            .or(self.http_req_timeout)
            .map_or(Self::DEFAULT_TIMEOUT, Seconds::duration)
    }

    /// How many more attempts a failed request is given.
    pub fn retries(&self) -> u32 {
        self.http_req_retries.unwrap_or(0)
    }
}

/// One choice of a route: the instances of a service that carry some tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Backend {
    /// The service; the rule's destination when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<ServiceName>,
    /// An instance qualifies when it carries all of these.
    #[schema(value_type = Vec<String>, min_items = 1)]
    pub tags: Tags,
    /// The share of requests. Backends without one share what the others leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0.0, maximum = 1.0)]
    pub weight: Option<Share>,
    /// Overrides the route's `http_req_timeout`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0.0)]
    pub timeout: Option<Seconds>,
    /// How an instance is picked. Default `round_robin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lb_type: Option<Balance>,
    /// Bounds and ejection. In a box, since most have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resilience: Option<Box<Resilience>>,
}

impl Backend {
    /// The service whose instances are meant, in a rule for `destination`.
    pub fn service<'a>(&'a self, destination: &'a ServiceName) -> &'a ServiceName {
        self.name.as_ref().unwrap_or(destination)
    }

    /// How an instance is picked.
    pub fn balance(&self) -> Balance {
        self.lb_type.unwrap_or_default()
    }
}

/// How an instance is picked among those that qualify.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastRequest,
    /// Any.
    Random,
}

impl Balance {
    /// All of them, with their wire names.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("round_robin", Self::RoundRobin),
        ("least_request", Self::LeastRequest),
        ("random", Self::Random),
    ];
}

/// Bounds of a backend, and when an instance of it is left alone for a while. Absent or 0
/// is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, ToSchema)]
pub struct Resilience {
    /// Connections open at once. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Requests waiting for a connection. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<u32>,
    /// Requests in flight. Default 1024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Requests after which a connection is given up. Default no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_connection: Option<u32>,
    /// 5xx answers or connect failures in a row before an instance is ejected. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u32>,
    /// Seconds an ejected instance stays out. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0.0)]
    pub sleep_window: Option<Seconds>,
    /// Seconds between ejection sweeps. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0.0)]
    pub detection_interval: Option<Seconds>,
}

impl Resilience {
    /// Connections open at once.
    pub fn connections(&self) -> u32 {
        given(self.max_connections).unwrap_or(1024)
    }

    /// Requests waiting for a connection.
    pub fn pending_requests(&self) -> u32 {
        given(self.max_pending_requests).unwrap_or(1024)
    }

    /// Requests in flight.
    pub fn requests(&self) -> u32 {
        given(self.max_requests).unwrap_or(1024)
    }

    /// Requests after which a connection is given up; `None` is no bound.
    pub fn requests_per_connection(&self) -> Option<u32> {
        given(self.max_requests_per_connection)
    }

    /// Failures in a row before an instance is ejected.
    pub fn errors_in_a_row(&self) -> u32 {
        given(self.consecutive_errors).unwrap_or(5)
    }

    /// How long an ejected instance stays out.
    pub fn ejected_for(&self) -> Duration {
        length(self.sleep_window, Duration::from_secs(30))
    }

    /// The time between ejection sweeps.
    pub fn sweep_every(&self) -> Duration {
        length(self.detection_interval, Duration::from_secs(10))
    }
}

/// Zero asks for the default.
fn given(number: Option<u32>) -> Option<u32> {
    number.filter(|n| *n > 0)
}

fn length(seconds: Option<Seconds>, default: Duration) -> Duration {
    seconds
        .map(Seconds::duration)
        .filter(|d| !d.is_zero())
        .unwrap_or(default)
}

/// The path by which a rule is a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Uri {
    /// This path and no other; it is sent unchanged.
    Path {
        /// The path.
        #[schema(value_type = String)]
        path: Path,
    },
    /// This path and all below it.
    Prefix {
        /// The prefix, of whole segments; a slash at its end is without meaning.
        #[schema(value_type = String)]
        prefix: Path,
        /// What is sent in its place; absent: the prefix is kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        prefix_rewrite: Option<Path>,
    },
}
