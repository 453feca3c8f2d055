//! `/state`: what has been taken in, how old it is, and whether the control plane is there.

use std::collections::BTreeMap;
use std::time::Instant;

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
use crate::supervise;

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
    /// The supervised commands, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<supervise::State>,
}

#[derive(Serialize)]
struct Source {
    epoch: Option<Epoch>,
    /// The newest change that was taken in.
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
    age_seconds: f64,
    /// Why the files as they are now are not in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) async fn show(State(sidecar): State<Sidecar>) -> Json<Report> {
    let known = sidecar.known.as_ref();
    let status = known.map(|known| known.status.borrow().clone());
    let status = status.unwrap_or_default();
    let rules = known.and_then(|known| known.rules.as_ref());
    Json(Report {
        identity: sidecar.me.load().label.to_string(),
        routing: status.routing,
        draining: sidecar.drain.fired(),
        instances: known.map(|known| Source::of(&known.instances, status.instances)),
        rules: rules.map(|rules| Source::of(rules, status.rules)),
        certificates: sidecar.proxy.as_ref().map(certificates).unwrap_or_default(),
        registration: sidecar.registration.as_ref().map(|r| r.borrow().clone()),
        checks: sidecar.checks.borrow().checks.clone(),
        commands: sidecar.commands.borrow().clone(),
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
            age_seconds: applied.at.map(seconds_since),
            connected: link.connected,
            last_contact_seconds: link.last_contact.map(seconds_since),
            problem: link.problem,
        }
    }
}

pub(super) fn seconds_since(at: Instant) -> f64 {
    at.elapsed().as_secs_f64()
}
