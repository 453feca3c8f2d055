//! `/state`: what has been taken in, how old it is, and whether the control plane is there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use a8_common::model::{Epoch, Revision};
use a8_common::source::Feed;
use a8_common::view::Item;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Sidecar;
use crate::health;
use crate::register::Standing;
use crate::state::Applied;

#[derive(Serialize)]
pub(super) struct Report {
    identity: String,
    /// Whether requests are routed.
    routing: bool,
    draining: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    instances: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Source>,
    /// The files of certificates: `own` and `authorities`, where they are given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    certificates: BTreeMap<&'static str, Certificates>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<Standing>,
    /// The checks of the service, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<health::State>,
}

#[derive(Serialize)]
struct Source {
    epoch: Option<Epoch>,
    /// The newest change that requests are routed by.
    revision: Revision,
    items: usize,
    /// Items that the source no longer knows, kept for a while.
    held: usize,
    /// Seconds since something was taken in.
    age_seconds: Option<f64>,
    connected: bool,
    /// Seconds since the source was last heard of.
    last_contact_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct Certificates {
    /// Seconds since those in use were read.
    age_seconds: Option<f64>,
    /// Why the files as they are now are not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) async fn show(State(sidecar): State<Sidecar>) -> Json<Report> {
    let status = sidecar.proxy.as_ref().map(|p| p.status.borrow().clone());
    let source = |pick: fn(&super::Proxy, Applied, Applied) -> Source| {
        let status = status.clone()?;
        let proxy = sidecar.proxy.as_ref()?;
        Some(pick(proxy, status.instances, status.rules))
    };
    Json(Report {
        identity: sidecar.me.load().label.to_string(),
        routing: status.as_ref().is_some_and(|s| s.routing),
        draining: sidecar.drain.fired(),
        instances: source(|proxy, instances, _| Source::of(&proxy.instances, instances)),
        rules: source(|proxy, _, rules| Source::of(&proxy.rules, rules)),
        certificates: sidecar.proxy.as_ref().map(certificates).unwrap_or_default(),
        registration: sidecar.registration.as_ref().map(|r| r.borrow().clone()),
        checks: sidecar.checks.borrow().checks.clone(),
    })
}

fn certificates(proxy: &super::Proxy) -> BTreeMap<&'static str, Certificates> {
    let all = proxy.certificates.iter().map(|kept| {
        let standing = kept.standing.borrow().clone();
        let told = Certificates {
            age_seconds: seconds_since(standing.loaded),
            problem: standing.problem,
        };
        (kept.kind, told)
    });
    all.collect()
}

impl Source {
    fn of<T: Item>(feed: &Feed<T>, applied: Applied) -> Self {
        let link = feed.link.borrow().clone();
        Self {
            epoch: applied.epoch,
            revision: applied.revision,
            items: applied.items,
            held: applied.held,
            age_seconds: applied.at.and_then(seconds_since),
            connected: link.connected,
            last_contact_seconds: link.last_contact.and_then(seconds_since),
            problem: link.problem,
        }
    }
}

pub(super) fn seconds_since(at: SystemTime) -> Option<f64> {
    at.elapsed().ok().map(|age| age.as_secs_f64())
}
