//! `/clusters`: every backend with its instances, their connections and requests in flight.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use a8_common::http::Reply;
use a8_common::model::{EndpointType, InstanceId, RuleId, ServiceName, Tags};
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Sidecar;
use crate::proxy::{Backend, Key, Routes, Target, Upstream};

#[derive(Serialize)]
pub(super) struct Report {
    clusters: Vec<Cluster>,
}

#[derive(Serialize)]
struct Cluster {
    /// The service that is asked for.
    destination: ServiceName,
    /// The rule; `null` is the default route.
    rule: Option<RuleId>,
    /// The service whose instances are meant.
    service: ServiceName,
    tags: Tags,
    balance: a8_common::rule::Balance,
    /// The bounds that its rule gives; what is absent is the default.
    resilience: a8_common::rule::Resilience,
    /// Requests of all workers, those that wait included.
    in_flight: u32,
    /// Connections that they opened or took over.
    connections: usize,
    /// Requests that wait for a connection.
    waiting: usize,
    instances: Vec<Instance>,
    /// Instances whose endpoint is of a kind that is not spoken.
    unusable: usize,
}

#[derive(Serialize)]
struct Instance {
    id: InstanceId,
    /// How it is spoken to; requests go to http and https only.
    #[serde(rename = "type")]
    kind: EndpointType,
    address: String,
    /// Where a name leads to; absent for an address.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved: Option<Resolved>,
    /// Open connections of all workers.
    connections: u32,
    /// Requests of all workers and all clusters.
    in_flight: u32,
    /// Until when it takes no requests of this cluster (RFC 3339), if it is ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    ejected_until: Option<String>,
}

#[derive(Serialize)]
struct Resolved {
    /// As the latest good answer said.
    addresses: Vec<SocketAddr>,
    /// Why the latest look-up failed, if it did.
    error: Option<String>,
}

pub(super) async fn show(State(sidecar): State<Sidecar>) -> Result<Json<Report>, Reply> {
    Ok(Json(report(&sidecar.proxy()?.routes.load())))
}

fn report(routes: &Routes) -> Report {
    let defaults = routes.services.values();
    let of_rules = routes.table.backends().map(|(_, _, backend)| backend);
    let mut clusters: Vec<_> = defaults.chain(of_rules).map(|b| cluster(b)).collect();
    let order = |c: &Cluster| (c.destination.clone(), c.rule.clone(), c.tags.clone());
    clusters.sort_by_cached_key(order);
    Report { clusters }
}

fn cluster(backend: &Backend) -> Cluster {
    let members = backend.members();
    let key = Key::clone(&backend.key);
    let now = Instant::now();
    let ejected = backend.ejected(now);
    let (connections, waiting) = backend.connections();
    Cluster {
        destination: key.destination,
        rule: key.rule,
        service: key.service,
        tags: key.tags,
        balance: key.balance,
        resilience: (*backend.resilience()).clone(),
        in_flight: backend.in_flight(),
        connections,
        waiting,
        unusable: members.unusable,
        instances: members
            .usable
            .iter()
            .map(|upstream| Instance {
                id: upstream.id.clone(),
                kind: upstream.kind,
                address: upstream.label.to_string(),
                resolved: resolved(upstream),
                connections: upstream.open(),
                in_flight: upstream.in_flight(),
                ejected_until: ejected
                    .iter()
                    .find(|(other, _)| other.key == upstream.key)
                    .and_then(|(_, until)| date(until.saturating_duration_since(now))),
            })
            .collect(),
    }
}

fn resolved(upstream: &Upstream) -> Option<Resolved> {
    let Target::Name(..) = upstream.target else {
        return None;
    };
    let known = upstream.addresses.known();
    Some(Resolved {
        addresses: known.list.to_vec(),
        error: known.error.as_deref().map(str::to_owned),
    })
}

/// The time of day after a while, in UTC.
fn date(after: Duration) -> Option<String> {
    let at = SystemTime::now().checked_add(after)?;
    let at = jiff::Timestamp::try_from(at).ok()?;
    Some(format!("{at:.3}"))
}
