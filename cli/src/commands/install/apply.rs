//! Applying the manifests, on the server's side, and waiting until what they ask for is there.

use std::time::Duration;

use a8_common::kubernetes::Cluster;
use a8_common::kubernetes::routing_rule::{DEFINITION, DEFINITION_VERSION, definition_version};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use tokio::time::{Instant, sleep};

use crate::args::Install;
use crate::cluster::{FIELD_MANAGER, answered, bounded, told};
use crate::console::Console;
use crate::error::Error;
use crate::yaml::{self, Node};

/// How often is looked whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) async fn run(
    cluster: &Cluster,
    install: &Install,
    manifests: &[Node],
    console: &mut Console,
) -> Result<(), Error> {
    let until = Instant::now() + Duration::from_secs(install.timeout);
    if !install.crd_only {
        namespace_is_there(cluster).await?;
    }
    let mut deployments = Vec::new();
    for manifest in manifests {
        let object = object(manifest)?;
        let kind = object.types.as_ref().map(|types| types.kind.clone());
        let kind = kind.unwrap_or_default();
        let name = object.metadata.name.clone().unwrap_or_default();
        let outcome = match kind.as_str() {
            "CustomResourceDefinition" => definition(cluster, &object, until).await?,
            _ => {
                apply(cluster, &object, install.force_conflicts).await?;
                "applied"
            }
        };
        writeln!(console.output, "{kind} {name}: {outcome}")?;
        if kind == "Deployment" {
            deployments.push(name);
        }
    }
    for name in deployments {
        rolled_out(cluster, &name, until).await?;
        writeln!(console.output, "Deployment {name}: rolled out")?;
    }
    Ok(())
}

/// Before anything is changed. Whoever may not look is told later.
async fn namespace_is_there(cluster: &Cluster) -> Result<(), Error> {
    let name = &cluster.namespace;
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    match bounded(api.get_opt(name)).await {
        Ok(None) => Err(Error::NotReady(format!(
            "there is no namespace {name}: kubectl create namespace {name}"
        ))),
        Ok(Some(_)) | Err(Error::Forbidden(_)) => Ok(()),
        Err(e) => Err(e),
    }
}

/// The same as the API server reads it.
fn object(manifest: &Node) -> Result<DynamicObject, Error> {
    let text = yaml::print(std::slice::from_ref(manifest));
    serde_saphyr::from_str(&text).map_err(|e| Error::Document {
        name: "a manifest".to_owned(),
        reason: e.to_string(),
    })
}

async fn apply(cluster: &Cluster, object: &DynamicObject, force: bool) -> Result<(), Error> {
    let types = object.types.clone().unwrap_or_default();
    let (group, version) = types
        .api_version
        .split_once('/')
        .unwrap_or(("", &types.api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &types.kind));
    let client = cluster.client.clone();
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let mut asked = PatchParams::apply(FIELD_MANAGER);
    asked.force = force;
    let name = object.metadata.name.as_deref().unwrap_or_default();
    match answered(api.patch(name, &asked, &Patch::Apply(object))).await? {
        Ok(_) => Ok(()),
        Err(status) if status.code == 409 => Err(Error::NotReady(format!(
            "{} {name} is as somebody else wants it: {}; --force-conflicts overrules them",
            types.kind, status.message
        ))),
        Err(status) => Err(told(status)),
    }
}

/// Installs the definition, or renews it. A newer one is left alone.
async fn definition(
    cluster: &Cluster,
    object: &DynamicObject,
    until: Instant,
) -> Result<&'static str, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let there = bounded(api.get_opt(DEFINITION)).await?;
    let there = there.as_ref().map(definition_version);
    if there.is_some_and(|version| version > DEFINITION_VERSION) {
        return Ok("newer than this command knows, and left alone");
    }
    // It is nobody else's: whoever installed it made it from the same source.
    apply(cluster, object, true).await?;
    loop {
        let now = bounded(api.get_opt(DEFINITION)).await?;
        let conditions = now
            .and_then(|now| now.status?.conditions)
            .unwrap_or_default();
        let is = |kind: &str| {
            let mut of_kind = conditions.iter().filter(|one| one.type_ == kind);
            of_kind.any(|one| one.status == "True")
        };
        if is("Established") {
            return Ok(match there {
                Some(_) => "applied",
                None => "installed",
            });
        }
        if Instant::now() >= until {
            let refused = conditions.iter().find(|one| one.status == "False");
            let why = refused.and_then(|one| one.message.clone());
            let why = why.unwrap_or_else(|| "not established yet".to_owned());
            return Err(Error::NotReady(format!("the definition of rules: {why}")));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Waits until a Deployment is all as it was applied.
async fn rolled_out(cluster: &Cluster, name: &str, until: Instant) -> Result<(), Error> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    loop {
        let now = bounded(api.get(name)).await?;
        let wanted = now.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let status = now.status.unwrap_or_default();
        let seen = status.observed_generation >= now.metadata.generation;
        let [updated, all, available] = [
            status.updated_replicas,
            status.replicas,
            status.available_replicas,
        ]
        .map(|count| count.unwrap_or(0));
        if seen && updated >= wanted && all <= wanted && available >= wanted {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(Error::NotReady(format!(
                "of Deployment {name} {available} of {wanted} pods are available; \
                 `kubectl -n {} describe pods -l app={name}` tells why",
                cluster.namespace
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}
