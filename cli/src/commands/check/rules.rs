//! Whether the rules are valid, and whether where they lead to somebody is.

use std::sync::Arc;

use a8_common::kubernetes::Cluster;
use a8_common::model::{Instance, ServiceName, Tags};
use a8_common::rule::Rule;

use super::{Finding, Grade, some};
use crate::cluster::{Rules, instances};
use crate::error::Error;

pub(super) async fn check(cluster: &Cluster) -> Vec<Finding> {
    const VALID: &str = "rules";
    const LEAD: &str = "backends";
    let read = match Rules::new(cluster.clone()).judged().await {
        Ok(read) => read,
        Err(e) => return vec![unknown(VALID, &e)],
    };
    let valid = format!("{} valid", read.rules.len());
    let mut findings = vec![match read.left_out.is_empty() {
        true => Finding::ok(VALID, valid),
        false => Finding::new(
            VALID,
            Grade::Fail,
            format!(
                "{valid}, {} left out: {}",
                read.left_out.len(),
                some(&read.left_out)
            ),
            "mend their specs by kubectl edit, or a8ctl rule-update; or delete them",
        ),
    }];
    let instances = match instances::look(cluster).await {
        Ok(instances) => instances,
        Err(e) => {
            findings.push(unknown(LEAD, &e));
            return findings;
        }
    };
    let rules = read.rules.values();
    let missing: Vec<String> = rules.flat_map(|rule| missing(rule, &instances)).collect();
    findings.push(match missing.is_empty() {
        true => Finding::ok(
            LEAD,
            format!("all have instances, of {} in all", instances.len()),
        ),
        false => Finding::new(
            LEAD,
            Grade::Warn,
            some(&missing),
            "compare with a8ctl service-list: tags are the labels of pods, and pods must be ready",
        ),
    });
    findings
}

fn unknown(check: &'static str, e: &Error) -> Finding {
    Finding::new(check, Grade::Fail, e.to_string(), "")
}

/// Which of a rule's services and backends have no instance.
fn missing(rule: &Rule, instances: &[Arc<Instance>]) -> Vec<String> {
    let (id, to) = (rule.id(), rule.destination());
    let none = Tags::default();
    let named: Vec<(&ServiceName, &Tags)> = match rule.route() {
        Some(route) => {
            let backends = route.backends.iter();
            backends
                .map(|backend| (backend.service(to), &backend.tags))
                .collect()
        }
        None => vec![(to, &none)],
    };
    let has = |(service, tags): &(&ServiceName, &Tags)| {
        let mut all = instances.iter();
        all.any(|one| one.service_name == **service && one.tags.contains_all(tags))
    };
    let lacking = named.into_iter().filter(|named| !has(named));
    let told = lacking.map(|(service, tags)| match tags.is_empty() {
        true => format!("{id}: {service} has no instance"),
        false => format!("{id}: no instance of {service} carries {tags}"),
    });
    told.collect()
}
