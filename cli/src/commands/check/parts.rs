//! Whether what was installed runs.

use a8_common::kubernetes::Cluster;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use super::{Finding, Grade};
use crate::cluster::bounded;

/// The Deployments, and what is so without them.
const PARTS: [(&str, &str); 3] = [
    (
        "controller",
        "rules have no status, and there is no API beside the cluster's own",
    ),
    ("registry", "each sidecar looks for instances itself"),
    ("gateway", "nothing leads in from outside"),
];

pub(super) async fn check(cluster: &Cluster) -> Vec<Finding> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let mut findings = Vec::new();
    for (name, without) in PARTS {
        findings.push(match bounded(api.get_opt(name)).await {
            Ok(None) => Finding::ok(name, format!("not installed: {without}")),
            Ok(Some(deployment)) => judge(name, &deployment, &cluster.namespace),
            Err(e) => Finding::new(name, Grade::Warn, format!("unknown: {e}"), ""),
        });
    }
    findings
}

fn judge(name: &'static str, deployment: &Deployment, namespace: &str) -> Finding {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|spec| spec.replicas)
        .unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    let found = format!("{ready} of {wanted} pods are ready");
    let mend = format!("kubectl -n {namespace} describe pods -l app={name}");
    match (ready, ready >= wanted) {
        (_, true) => Finding::ok(name, found),
        (0, false) => Finding::new(name, Grade::Fail, found, mend),
        (_, false) => Finding::new(name, Grade::Warn, found, mend),
    }
}
