//! `/routes`: for every service the rules that decide about it, in the order in which they
//! are tried, and what the default route leads to.

use std::collections::BTreeMap;

use a8_common::http::Reply;
use a8_common::rule::Rule;
use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Sidecar;
use crate::proxy::Routes;

#[derive(Serialize)]
pub(super) struct Report {
    services: BTreeMap<String, Service>,
}

#[derive(Default, Serialize)]
struct Service {
    /// Instances that the default route leads to.
    default_instances: usize,
    /// Routing rules, in the order in which they are tried.
    routing: Vec<Rule>,
    /// Action rules, in the order in which they are tried.
    actions: Vec<Rule>,
}

pub(super) async fn show(State(sidecar): State<Sidecar>) -> Result<Json<Report>, Reply> {
    Ok(Json(report(&sidecar.proxy()?.routes.load())))
}

fn report(routes: &Routes) -> Report {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for (name, backend) in routes.services.iter() {
        let service = services.entry(name.to_string()).or_default();
        service.default_instances = backend.members().usable.len();
    }
    let mut rules: Vec<_> = routes.table.rules().collect();
    rules.sort_unstable_by(|a, b| a.order(b));
    for rule in rules {
        let service = services.entry(rule.destination().to_string()).or_default();
        let list = match rule.route() {
            Some(_) => &mut service.routing,
            None => &mut service.actions,
        };
        list.push(Rule::clone(rule));
    }
    Report { services }
}
