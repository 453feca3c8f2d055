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
    let read = match Rules::new(cluster).judged().await {
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
    let has = |service: &ServiceName, tags: &Tags| {
        let mut all = instances.iter();
        all.any(|one| one.service_name == *service && one.tags.contains_all(tags))
    };
    let id = rule.id();
    let told = rule.lacking(has).into_iter();
    told.map(|lacking| format!("{id}: {lacking}")).collect()
}
