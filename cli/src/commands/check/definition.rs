//! Whether the definition of rules is there, in force, and the one of this version.

use std::cmp::Ordering;

use a8_common::kubernetes::Cluster;
use a8_common::kubernetes::routing_rule::{
    DEFINITION, DEFINITION_VERSION, crd, definition_version,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::Api;

use super::{Finding, Grade};
use crate::cluster::bounded;
use crate::error::Error;

const CHECK: &str = "definition";
const INSTALL: &str = "a8ctl install --crd-only --apply";

pub(super) async fn check(cluster: &Cluster) -> Finding {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    match bounded(api.get_opt(DEFINITION)).await {
        Ok(None) => Finding::new(CHECK, Grade::Fail, "there is none", INSTALL),
        Ok(Some(there)) => judge(&there),
        Err(e @ Error::Forbidden(_)) => {
            Finding::new(CHECK, Grade::Warn, format!("not to be seen: {e}"), "")
        }
        Err(e) => Finding::new(CHECK, Grade::Fail, e.to_string(), ""),
    }
}

fn judge(there: &CustomResourceDefinition) -> Finding {
    let conditions = there
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    let established = conditions.any(|one| one.type_ == "Established" && one.status == "True");
    if !established {
        let mend = format!("kubectl describe crd {DEFINITION} tells why");
        return Finding::new(CHECK, Grade::Fail, "is not established", mend);
    }
    let version = definition_version(there);
    let found = format!("version {version}");
    match version.cmp(&DEFINITION_VERSION) {
        Ordering::Less => Finding::new(
            CHECK,
            Grade::Warn,
            format!("{found}, older than {DEFINITION_VERSION}, which this command knows"),
            INSTALL,
        ),
        Ordering::Greater => Finding::new(
            CHECK,
            Grade::Warn,
            format!("{found}, newer than {DEFINITION_VERSION}, which this command knows"),
            "use the a8ctl of that version",
        ),
        Ordering::Equal if schema(there) != schema(&crd()) => Finding::new(
            CHECK,
            Grade::Warn,
            format!("{found}, but its schema was changed"),
            INSTALL,
        ),
        Ordering::Equal => Finding::ok(CHECK, found),
    }
}

/// What decides which rules are taken.
fn schema(crd: &CustomResourceDefinition) -> Option<impl PartialEq + use<>> {
    let served = |version: &&CustomResourceDefinitionVersion| version.name == "v1";
    let version = crd.spec.versions.iter().find(served)?;
    Some((version.schema.clone(), version.served, version.storage))
}
