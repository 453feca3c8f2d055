//! The walk in a cluster: rules as objects, pages by way of the API server, which reaches every
//! pod without a port of a node.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use a8_common::kubernetes::{api_reason, routing_rule};
use async_trait::async_trait;
use http::Request;
use http::header::{ACCEPT, COOKIE};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::Value;
use tokio::time::sleep;

use super::super::Error;
use super::super::bookinfo::DEFAULT_ROUTES;
use super::super::place::{PAGE, Place, cookie};
use super::super::screen::say;
use super::home::{Home, failed, rule_object, until};
use crate::rules;

/// How often sidecars are asked whether they know the rules.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub(super) struct Pages<'a> {
    home: &'a Home,
    rules: Api<DynamicObject>,
    /// How long each change took to be in effect at every sidecar.
    took: Mutex<Vec<Duration>>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(home: &'a Home) -> Self {
        let kind = routing_rule::kind();
        Self {
            rules: Api::namespaced_with(home.client.clone(), &home.namespace, &kind),
            home,
            took: Mutex::default(),
        }
    }

    /// Sends everything to v1.
    pub(super) async fn default_routes(&self) -> Result<(), Error> {
        for file in DEFAULT_ROUTES {
            self.create(file).await?;
        }
        Ok(())
    }

    /// How soon changes were in effect.
    pub(super) fn say_how_soon(&self) {
        let mut took = self
            .took
            .lock()
            .map(|took| took.clone())
            .unwrap_or_default();
        took.sort_unstable();
        if let (Some(median), Some(most)) = (took.get(took.len() / 2), took.last()) {
            let [median, most] = [median, most].map(Duration::as_millis);
            say(format_args!(
                "A change of rules was seen at every sidecar after {median} ms (median of {}), at most {most} ms",
                took.len()
            ));
        }
    }

    /// Waits until every sidecar goes by the rules as they are now.
    async fn settled(&self, written: Instant) -> Result<(), Error> {
        let objects = self.rules.list(&ListParams::default()).await;
        let objects = objects.map_err(failed("reading the rules"))?;
        let wanted: BTreeSet<String> = objects
            .items
            .into_iter()
            .filter_map(|rule| rule.metadata.name)
            .collect();
        let pods: Api<Pod> = Api::namespaced(self.home.client.clone(), &self.home.namespace);
        let pods = pods
            .list(&ListParams::default())
            .await
            .map_err(failed("reading pods"))?;
        let sidecars: Vec<String> = pods
            .items
            .into_iter()
            .filter(has_sidecar)
            .filter_map(|pod| pod.metadata.name)
            .collect();
        let began = Instant::now();
        for pod in &sidecars {
            until("the sidecars to know the rules", async || {
                loop {
                    if self.known(pod).await? == wanted {
                        return Ok(true);
                    }
                    if began.elapsed() > Duration::from_secs(60) {
                        return Ok(false);
                    }
                    sleep(LOOK_EVERY).await;
                }
            })
            .await?;
        }
        if let Ok(mut took) = self.took.lock() {
            took.push(written.elapsed());
        }
        Ok(())
    }

    /// The ids of the rules that a sidecar goes by.
    async fn known(&self, pod: &str) -> Result<BTreeSet<String>, Error> {
        let namespace = &self.home.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:8001/proxy/routes");
        let request = Request::get(path)
            .body(Vec::new())
            .map_err(|e| Error::Control {
                what: "asking a sidecar".to_owned(),
                why: e.to_string(),
            })?;
        let routes: Value = self
            .home
            .client
            .request(request)
            .await
            .map_err(failed("asking a sidecar for its rules"))?;
        let services = routes["services"].as_object().into_iter().flatten();
        let rules = services.flat_map(|(_, service)| {
            ["routing", "actions"].map(|list| service[list].as_array().cloned().unwrap_or_default())
        });
        let ids = rules
            .flatten()
            .filter_map(|rule| Some(rule["id"].as_str()?.to_owned()));
        Ok(ids.collect())
    }
}

fn has_sidecar(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let inits = spec.init_containers.iter().flatten();
    let mut names = spec
        .containers
        .iter()
        .chain(inits)
        .map(|container| &container.name);
    names.any(|name| name == "sidecar")
}

#[async_trait(?Send)]
impl Place for Pages<'_> {
    async fn page(&self, user: Option<&str>, accept: &str) -> Result<(Duration, String), String> {
        let namespace = &self.home.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/services/gateway:http/proxy{PAGE}");
        let mut request = Request::get(path).header(ACCEPT, accept);
        if let Some(user) = user {
            request = request.header(COOKIE, cookie(user));
        }
        let request = request.body(Vec::new()).map_err(|e| e.to_string())?;
        let began = Instant::now();
        let text = self.home.client.request_text(request).await;
        let text = text.map_err(|e| api_reason(&e))?;
        Ok((began.elapsed(), text))
    }

    async fn create(&self, file: &str) -> Result<(), Error> {
        let written = Instant::now();
        let params = PatchParams::apply("a8-demo").force();
        for rule in rules::load(file)? {
            let patch = Patch::Apply(rule_object(&rule)?);
            let applied = self.rules.patch(rule.id().as_str(), &params, &patch).await;
            applied.map_err(failed("applying a rule"))?;
        }
        self.settled(written).await
    }

    async fn delete(&self, rule: &str) -> Result<(), Error> {
        let written = Instant::now();
        let deleted = self.rules.delete(rule, &DeleteParams::default()).await;
        deleted.map_err(failed("deleting a rule"))?;
        self.settled(written).await
    }

    async fn delete_all(&self) -> Result<(), Error> {
        let written = Instant::now();
        let (how, which) = (DeleteParams::default(), ListParams::default());
        let deleted = self.rules.delete_collection(&how, &which).await;
        deleted.map_err(failed("deleting the rules"))?;
        self.settled(written).await
    }
}
