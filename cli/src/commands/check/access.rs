//! Who may do what: whoever asks, and the accounts of the components.

use std::collections::BTreeSet;

use a8_common::kubernetes::Cluster;
use a8_common::kubernetes::routing_rule::DEFINITION;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};

use super::{Finding, Grade, some};
use crate::cluster::bounded;
use crate::commands::inject::is_sidecar;
use crate::error::Error;

/// What is done, and to what: verbs, group, resource, subresource.
type Need = (
    &'static [&'static str],
    &'static str,
    &'static str,
    &'static str,
);

const LOOK: &[&str] = &["list", "watch"];
const INSTANCES: [Need; 3] = [
    (LOOK, "", "pods", ""),
    (LOOK, "", "services", ""),
    (LOOK, "discovery.k8s.io", "endpointslices", ""),
];
const RULES: &str = "amalgam8.io";
const READ: [Need; 1] = [(LOOK, RULES, "routingrules", "")];
const WRITE: [Need; 1] = [(
    &["get", "create", "update", "delete"],
    RULES,
    "routingrules",
    "",
)];
const CONTROL: [Need; 3] = [
    (&["patch"], RULES, "routingrules", "status"),
    (
        &["get", "create", "update"],
        "coordination.k8s.io",
        "leases",
        "",
    ),
    (&["create", "patch"], "events.k8s.io", "events", ""),
];

/// Of the definition itself, which is the cluster's and no namespace's.
const DEFINITIONS: &str = "apiextensions.k8s.io";
const LOOK_AT_DEFINITION: [Need; 1] = [(
    &["get", "list", "watch"],
    DEFINITIONS,
    "customresourcedefinitions",
    "",
)];

/// So many pods are looked at for who they are.
const PODS: u32 = 500;
/// And so many accounts.
const ACCOUNTS: usize = 20;

/// What the one who asks may do.
pub(super) async fn own(cluster: &Cluster) -> Vec<Finding> {
    const CHECK: &str = "permissions";
    let mend = "ask whoever runs the cluster for a role with them";
    let read: Vec<Need> = [&READ[..], &INSTANCES].concat();
    let lacking = async |needs: &[Need]| lacking(cluster, None, needs).await;
    match (lacking(&read).await, lacking(&WRITE).await) {
        (Ok(read), Ok(write)) => vec![match (read.is_empty(), write.is_empty()) {
            (true, true) => Finding::ok(CHECK, "you may read and write rules and read instances"),
            (true, false) => {
                let found = format!("you may not {}", some(&write));
                Finding::new(CHECK, Grade::Warn, found, mend)
            }
            (false, _) => {
                let found = format!("you may not {}", some(&[read, write].concat()));
                Finding::new(CHECK, Grade::Fail, found, mend)
            }
        }],
        (Err(e), _) | (_, Err(e)) => {
            vec![Finding::new(
                CHECK,
                Grade::Warn,
                format!("unknown: {e}"),
                "",
            )]
        }
    }
}

/// What the components' accounts may do.
pub(super) async fn accounts(cluster: &Cluster) -> Vec<Finding> {
    let sidecar: Vec<Need> = [&READ[..], &INSTANCES].concat();
    let controller: Vec<Need> = [&READ[..], &WRITE, &CONTROL, &INSTANCES].concat();
    let mut findings = Vec::new();
    for (check, account, needs, needed) in [
        ("sidecar's account", "a8-sidecar", &*sidecar, true),
        ("controller's account", "a8-controller", &*controller, false),
        ("registry's account", "a8-registry", &INSTANCES[..], false),
    ] {
        let found = self::account(cluster, check, account, needs, needed).await;
        let good = found.as_ref().is_some_and(|one| one.result == Grade::Ok);
        findings.extend(found);
        if good && account == "a8-controller" {
            findings.extend(definition(cluster, account).await);
        }
    }
    findings
}

/// Whether the controller may look at the definition; it does not need to.
async fn definition(cluster: &Cluster, account: &str) -> Option<Finding> {
    let lacking = lacking(cluster, Some(account), &LOOK_AT_DEFINITION).await;
    let lacking = lacking.ok().filter(|lacking| !lacking.is_empty())?;
    Some(Finding::new(
        "controller's account",
        Grade::Warn,
        format!(
            "{account} may not {} {DEFINITION}: watches begin anew at another controller",
            some(&lacking)
        ),
        format!("a8ctl install -n {} --apply", cluster.namespace),
    ))
}

/// What the accounts may do that pods with a sidecar have, other than the one for it.
pub(super) async fn of_pods(cluster: &Cluster) -> Vec<Finding> {
    const CHECK: &str = "pods' accounts";
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let pods = match bounded(api.list(&ListParams::default().limit(PODS))).await {
        Ok(pods) => pods,
        Err(e) => {
            return vec![Finding::new(
                CHECK,
                Grade::Warn,
                format!("unknown: {e}"),
                "",
            )];
        }
    };
    let accounts: BTreeSet<String> = pods.items.into_iter().filter_map(account_of).collect();
    let needs: Vec<Need> = [&READ[..], &INSTANCES].concat();
    let mut findings = Vec::new();
    for account in accounts.iter().take(ACCOUNTS) {
        let lacking = lacking(cluster, Some(account), &needs).await;
        let Some(lacking) = lacking.ok().filter(|lacking| !lacking.is_empty()) else {
            continue;
        };
        let namespace = &cluster.namespace;
        findings.push(Finding::new(
            CHECK,
            Grade::Fail,
            format!(
                "{account}, which pods with a sidecar have, may not {}",
                some(&lacking)
            ),
            format!(
                "kubectl -n {namespace} create rolebinding a8-sidecar-{account} --role=a8-sidecar \
                 --serviceaccount={namespace}:{account}"
            ),
        ));
    }
    findings
}

/// The account of a pod that has a sidecar, unless it is the sidecar's own or one of ours.
fn account_of(pod: Pod) -> Option<String> {
    let spec = pod.spec?;
    let containers = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let mut containers =
        containers.map(|one| (one.name.as_str(), one.image.as_deref().unwrap_or_default()));
    if !containers.any(|(name, image)| is_sidecar(name, image)) {
        return None;
    }
    let account = spec.service_account_name.unwrap_or_default();
    let account = if account.is_empty() {
        "default".to_owned()
    } else {
        account
    };
    (account != "a8-sidecar").then_some(account)
}

/// An account that is not `needed` may be lacking: so is its component.
async fn account(
    cluster: &Cluster,
    check: &'static str,
    account: &str,
    needs: &[Need],
    needed: bool,
) -> Option<Finding> {
    let mend = format!("a8ctl install -n {} --apply", cluster.namespace);
    let api: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let there = match bounded(api.get_opt(account)).await {
        Ok(there) => there.is_some(),
        Err(e) => {
            return Some(Finding::new(
                check,
                Grade::Warn,
                format!("unknown: {e}"),
                "",
            ));
        }
    };
    if !there {
        let found = format!("there is no account {account}, which injected sidecars have");
        return needed.then(|| Finding::new(check, Grade::Warn, found, mend));
    }
    Some(match lacking(cluster, Some(account), needs).await {
        Ok(lacking) if lacking.is_empty() => {
            Finding::ok(check, format!("{account} may do what it must"))
        }
        Ok(lacking) => {
            let found = format!("{account} may not {}", some(&lacking));
            Finding::new(check, Grade::Fail, found, mend)
        }
        Err(e) => Finding::new(check, Grade::Warn, format!("unknown: {e}"), ""),
    })
}

/// Which of the `needs` an account lacks, or whoever asks.
async fn lacking(
    cluster: &Cluster,
    account: Option<&str>,
    needs: &[Need],
) -> Result<Vec<String>, Error> {
    let mut lacking = Vec::new();
    for (verbs, group, resource, part) in needs {
        for verb in *verbs {
            let of_the_cluster = *group == DEFINITIONS;
            let what = ResourceAttributes {
                namespace: (!of_the_cluster).then(|| cluster.namespace.clone()),
                name: of_the_cluster.then(|| DEFINITION.to_owned()),
                verb: Some((*verb).to_owned()),
                group: Some((*group).to_owned()),
                resource: Some((*resource).to_owned()),
                subresource: (!part.is_empty()).then(|| (*part).to_owned()),
                ..ResourceAttributes::default()
            };
            if !may(cluster, account, what).await? {
                let part = if part.is_empty() { "" } else { "/status" };
                lacking.push(format!("{verb} {resource}{part}"));
            }
        }
    }
    Ok(lacking)
}

async fn may(
    cluster: &Cluster,
    account: Option<&str>,
    what: ResourceAttributes,
) -> Result<bool, Error> {
    let post = PostParams::default();
    let status = match account {
        None => {
            let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
            let asked = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(what),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            bounded(api.create(&post, &asked)).await?.status
        }
        Some(account) => {
            let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
            let namespace = &cluster.namespace;
            let asked = SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(format!("system:serviceaccount:{namespace}:{account}")),
                    groups: Some(vec![
                        "system:serviceaccounts".to_owned(),
                        format!("system:serviceaccounts:{namespace}"),
                        "system:authenticated".to_owned(),
                    ]),
                    resource_attributes: Some(what),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            };
            bounded(api.create(&post, &asked)).await?.status
        }
    };
    Ok(status.is_some_and(|status| status.allowed))
}
