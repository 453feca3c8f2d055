//! The demo's namespace, from its making to its end.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use a8_common::kubernetes::{Cluster, api_reason, routing_rule};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::sleep;

use super::super::Error;
use super::super::screen::say;
use super::manifests;

/// Who applies.
const MANAGER: &str = "a8-demo";
/// By which a namespace is known to be the demo's.
const LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "a8-demo");
/// How long things may take: pods to start, a namespace to go.
const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The namespace and what is in it.
pub(super) struct Home {
    pub(super) client: Client,
    pub(super) namespace: String,
    prefix: Option<String>,
    /// Whether the definition is ours to take away.
    installed: std::sync::atomic::AtomicBool,
    made: std::sync::atomic::AtomicBool,
}

impl Home {
    pub(super) fn new(cluster: Cluster, namespace: &str, prefix: Option<&str>) -> Self {
        Self {
            client: cluster.client,
            namespace: namespace.to_owned(),
            prefix: prefix.map(str::to_owned),
            installed: false.into(),
            made: false.into(),
        }
    }

    /// Makes the namespace. One that is there and not a former demo's is left alone.
    pub(super) async fn make(&self) -> Result<(), Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = &self.namespace;
        let known = api
            .get_opt(name)
            .await
            .map_err(failed("reading the namespace"))?;
        if let Some(known) = known {
            let (label, value) = LABEL;
            let labels = known.metadata.labels.unwrap_or_default();
            if labels.get(label).map(String::as_str) != Some(value) {
                return Err(Error::Control {
                    what: format!("making the namespace {name}"),
                    why: "there is one, which is not the demo's: choose another with --namespace"
                        .to_owned(),
                });
            }
            say(format_args!(
                "A former demo is still there, and is taken away first"
            ));
            self.made.store(true, std::sync::atomic::Ordering::Relaxed);
            self.remove_namespace().await?;
        }
        let labels = BTreeMap::from([LABEL].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        namespace.metadata.labels = Some(labels);
        let made = api.create(&Default::default(), &namespace).await;
        made.map_err(failed("making the namespace"))?;
        self.made.store(true, std::sync::atomic::Ordering::Relaxed);
        self.install().await
    }

    /// Installs the definition of rules where it is not.
    async fn install(&self) -> Result<(), Error> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = api.get_opt(routing_rule::DEFINITION).await;
        if found
            .map_err(failed("looking for the definition of RoutingRule"))?
            .is_some()
        {
            return Ok(());
        }
        say("Installing the definition of RoutingRule");
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(routing_rule::crd());
        let applied = api.patch(routing_rule::DEFINITION, &params, &patch).await;
        applied.map_err(failed("installing the definition of RoutingRule"))?;
        self.installed
            .store(true, std::sync::atomic::Ordering::Relaxed);
        until("the definition to be established", async || {
            let now = api.get_opt(routing_rule::DEFINITION).await;
            let status = now
                .map_err(failed("reading the definition"))?
                .and_then(|crd| crd.status);
            let conditions = status
                .and_then(|status| status.conditions)
                .unwrap_or_default();
            Ok(conditions
                .iter()
                .any(|c| c.type_ == "Established" && c.status == "True"))
        })
        .await
    }

    /// Applies everything and waits until it runs.
    pub(super) async fn fill(&self) -> Result<(), Error> {
        let objects = manifests::objects(&self.namespace, self.prefix.as_deref())?;
        say(format_args!("Applying {} objects", objects.len()));
        let params = PatchParams::apply(MANAGER).force();
        for object in objects {
            let name = object.metadata.name.clone().unwrap_or_default();
            let what = format!("applying {name}");
            let api = self.api_of(&object)?;
            let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
            applied.map_err(|e| Error::Control {
                what,
                why: api_reason(&e),
            })?;
        }
        self.wait().await
    }

    fn api_of(&self, object: &DynamicObject) -> Result<Api<DynamicObject>, Error> {
        let types = object.types.clone().unwrap_or_default();
        let kind = GroupVersionKind::try_from(&types).map_err(|e| Error::Control {
            what: "reading the manifests".to_owned(),
            why: e.to_string(),
        })?;
        let mut resource = ApiResource::from_gvk(&kind);
        // The guess of a plural that is none.
        if resource.kind == "PodDisruptionBudget" {
            resource.plural = "poddisruptionbudgets".to_owned();
        }
        Ok(Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &resource,
        ))
    }

    /// Waits until every Deployment has all its pods.
    async fn wait(&self) -> Result<(), Error> {
        let began = Instant::now();
        let api: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut told = usize::MAX;
        let waited = until("the pods to be ready", async || {
            let all = api
                .list(&ListParams::default())
                .await
                .map_err(failed("reading Deployments"))?;
            let ready = |d: &&Deployment| {
                let wanted = d.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
                let status = d.status.as_ref();
                status
                    .and_then(|status| status.available_replicas)
                    .unwrap_or(0)
                    >= wanted
            };
            let missing = all.items.iter().filter(|d| !ready(d)).count();
            if missing != told {
                say(format_args!(
                    "  {} of {} Deployments run",
                    all.items.len() - missing,
                    all.items.len()
                ));
                told = missing;
            }
            if let Some(hopeless) = self.hopeless().await? {
                return Err(hopeless);
            }
            Ok(missing == 0)
        });
        waited.await?;
        say(format_args!(
            "everything runs after {} s",
            began.elapsed().as_secs()
        ));
        Ok(())
    }

    /// A pod that will not start by waiting.
    async fn hopeless(&self) -> Result<Option<Error>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let pods = pods
            .list(&ListParams::default())
            .await
            .map_err(failed("reading pods"))?;
        for pod in pods {
            let name = pod.metadata.name.unwrap_or_default();
            let status = pod.status.unwrap_or_default();
            let lists = [status.init_container_statuses, status.container_statuses];
            let reasons = lists.into_iter().flatten().flatten().filter_map(waits_for);
            for (reason, message) in reasons {
                if [
                    "ErrImageNeverPull",
                    "ImagePullBackOff",
                    "InvalidImageName",
                    "CrashLoopBackOff",
                ]
                .contains(&&*reason)
                {
                    return Ok(Some(Error::Control {
                        what: format!("starting the pod {name}"),
                        why: format!("{reason}: {message}"),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Takes everything away that was made.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        if !self.made.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(());
        }
        self.remove_namespace().await?;
        if self.installed.load(std::sync::atomic::Ordering::Relaxed) {
            let rules: Api<DynamicObject> =
                Api::all_with(self.client.clone(), &routing_rule::kind());
            let left = rules.list(&ListParams::default().limit(1)).await;
            if left.is_ok_and(|left| left.items.is_empty()) {
                let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
                let deleted = api
                    .delete(routing_rule::DEFINITION, &DeleteParams::default())
                    .await;
                deleted.map_err(failed("deleting the definition of RoutingRule"))?;
            }
        }
        say("nothing of the demo is left");
        Ok(())
    }

    async fn remove_namespace(&self) -> Result<(), Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let deleted = api.delete(&self.namespace, &DeleteParams::default()).await;
        deleted.map_err(failed("deleting the namespace"))?;
        until("the namespace to be gone", async || {
            let there = api
                .get_opt(&self.namespace)
                .await
                .map_err(failed("reading the namespace"))?;
            Ok(there.is_none())
        })
        .await
    }

    /// What can be done with what is left running.
    pub(super) fn invite(&self) {
        let Self { namespace, .. } = self;
        say(format_args!(
            "
It goes on running, in the namespace {namespace}:

  kubectl -n {namespace} port-forward service/gateway 32000:6379
  The page:  http://localhost:32000/productpage/productpage

  kubectl -n {namespace} get rr
  kubectl -n {namespace} apply -f examples/kubernetes/bookinfo-jason-7s-delay.yaml

To take it away:  kubectl delete namespace {namespace}"
        ));
    }
}

fn waits_for(container: ContainerStatus) -> Option<(String, String)> {
    let waiting = container.state?.waiting?;
    Some((waiting.reason?, waiting.message.unwrap_or_default()))
}

pub(super) fn failed(what: &'static str) -> impl Fn(kube::Error) -> Error {
    move |e| Error::Control {
        what: what.to_owned(),
        why: api_reason(&e),
    }
}

/// Looks again and again, for a while.
pub(super) async fn until(
    what: &str,
    mut there: impl AsyncFnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let began = Instant::now();
    while !there().await? {
        if began.elapsed() > PATIENCE {
            return Err(Error::Control {
                what: format!("waiting for {what}"),
                why: format!("it has not come about in {} s", PATIENCE.as_secs()),
            });
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// The context that the kubeconfig names.
pub(super) fn context() -> String {
    let config = kube::config::Kubeconfig::read().ok();
    let current = config.and_then(|config| config.current_context);
    current.unwrap_or_else(|| "of this pod".to_owned())
}

/// Asks whether to go on. Where nobody can answer, the answer is no.
pub(super) async fn agreed() -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Control {
            what: "asking whether to go on".to_owned(),
            why: "there is no terminal: say --yes".to_owned(),
        });
    }
    say("Everything is taken away in the end. Go on? [y/N]");
    let mut line = String::new();
    let mut stdin = BufReader::new(tokio::io::stdin());
    let read = stdin.read_line(&mut line).await;
    Ok(read.is_ok() && line.trim().eq_ignore_ascii_case("y"))
}

/// An object of the demo's that says what a rule does.
pub(super) fn rule_object(rule: &a8_common::rule::Rule) -> Result<DynamicObject, Error> {
    let object = routing_rule::object(rule);
    let mut object = object.map_err(|e| Error::Control {
        what: format!("writing the rule {}", rule.id()),
        why: e.to_string(),
    })?;
    object.metadata.labels = serde_json::from_value(json!({LABEL.0: LABEL.1})).ok();
    Ok(object)
}
