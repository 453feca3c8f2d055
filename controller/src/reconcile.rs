//! Telling people on each `RoutingRule` of the namespace how it stands, whoever made it:
//! whether it is a valid rule, and whether instances carry the tags that it names.
//!
//! Nobody routes by it. Of several controllers the one that [leads](crate::lease) does it. It
//! goes by what is there, never by what it remembers having done: the same look at the same
//! object comes to the same status, which is written when it is another than the one that is
//! there. One object that cannot be written is tried again later and holds up no other.

mod events;
mod instances;
mod queue;
mod status;

use std::sync::Arc;
use std::time::Duration;

use a8_common::host::Site;
use a8_common::kubernetes::{Cluster, RoutingRuleStatus, api_reason, routing_rule};
use a8_common::source::{self, Discovery};
use imbl::ordmap::DiffItem;
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use prometheus::{IntCounterVec, IntGauge, Opts};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use self::events::Events;
use self::instances::Instances;
use self::queue::Queue;
use crate::lease::Candidate;
use crate::rulebook::kubernetes::{Contents, FIELD_MANAGER, Known};

/// How long the API server may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time between two writes.
const PACE: Duration = Duration::from_millis(20);
/// How often everything is looked at without a cause.
const RESYNC: Duration = Duration::from_secs(300);
/// How long a change of instances may draw others after it before rules are looked at.
const DEBOUNCE: Duration = Duration::from_secs(1);
/// How long a new leader waits to know the instances.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a task of `site` that does it whenever this controller leads.
///
/// # Errors
/// When there is a metric already that this counts.
pub fn start(
    cluster: &Cluster,
    contents: watch::Receiver<Contents>,
    site: &Site<'_>,
) -> Result<(), prometheus::Error> {
    let of = cluster.clone();
    let instances = move || source::kubernetes::instances(of.clone());
    start_by(cluster, contents, instances, site)
}

fn start_by(
    cluster: &Cluster,
    contents: watch::Receiver<Contents>,
    instances: impl Fn() -> Box<Discovery> + Send + Sync + 'static,
    site: &Site<'_>,
) -> Result<(), prometheus::Error> {
    let leads = IntGauge::new(
        "a8_controller_leads",
        "Whether this controller is the one that tells how rules stand",
    )?;
    site.metrics.register(Box::new(leads.clone()))?;
    let written = IntCounterVec::new(
        Opts::new(
            "a8_controller_status_writes_total",
            "Writes of how a rule stands",
        ),
        &["outcome"],
    )?;
    site.metrics.register(Box::new(written.clone()))?;
    let candidate = Candidate::new(cluster);
    let reconciler = Reconciler {
        cluster: cluster.clone(),
        api: rules(&cluster.client, &cluster.namespace),
        contents,
        instances: Box::new(instances),
        written,
        name: candidate.name().to_owned(),
    };
    let stop = site.tasks.stop().clone();
    site.tasks.spawn("reconciler", async move {
        let tell = |now: bool| leads.set(now.into());
        candidate.lead(stop, tell, || reconciler.lead()).await;
    });
    Ok(())
}

fn rules(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &routing_rule::kind())
}

struct Reconciler {
    cluster: Cluster,
    api: Api<DynamicObject>,
    contents: watch::Receiver<Contents>,
    /// Where a term learns of instances.
    instances: Box<dyn Fn() -> Box<Discovery> + Send + Sync>,
    written: IntCounterVec,
    name: String,
}

/// What a leader knows, from when it begins until it no longer leads.
struct Term<'a> {
    of: &'a Reconciler,
    events: Events,
    instances: Instances,
    queue: Queue,
    /// What was told of failures last.
    told: Option<String>,
}

impl Reconciler {
    /// Keeps every status as it should be, for as long as it is polled.
    async fn lead(&self) {
        let mut contents = self.contents.clone();
        // The sender lives as long as the tasks.
        let _ = contents.wait_for(|now| now.loaded).await;
        let mut instances = Instances::follow((self.instances)());
        let _ = timeout(PATIENCE, instances.loaded()).await;
        let mut term = Term {
            of: self,
            events: Events::new(&self.cluster, &self.name),
            instances,
            queue: Queue::default(),
            told: None,
        };
        term.run(contents).await;
    }
}

impl Term<'_> {
    async fn run(&mut self, mut contents: watch::Receiver<Contents>) {
        let mut now = contents.borrow_and_update().clone();
        let mut resync = Instant::now();
        loop {
            tokio::select! {
                changed = contents.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let before = std::mem::replace(&mut now, contents.borrow_and_update().clone());
                    for change in before.objects.diff(&now.objects) {
                        match change {
                            DiffItem::Add(name, _) | DiffItem::Update { new: (name, _), .. } => {
                                self.queue.put(name);
                            }
                            DiffItem::Remove(name, _) => self.queue.forget(name),
                        }
                    }
                }
                () = self.instances.changed(DEBOUNCE) => now.objects.keys().for_each(|name| self.queue.put(name)),
                () = sleep_until(resync) => {
                    resync = Instant::now() + RESYNC;
                    now.objects.keys().for_each(|name| self.queue.put(name));
                }
                name = self.queue.next() => {
                    if let Some(known) = now.objects.get(&name) {
                        self.reconcile(&name, known).await;
                    }
                }
            }
        }
    }

    /// Writes the status of `known`, if it is another.
    async fn reconcile(&mut self, name: &str, known: &Arc<Known>) {
        let before = status::of(&known.object);
        let after = status::judged(
            known,
            &self.instances.tags,
            before.as_ref(),
            Timestamp::now(),
        );
        if before.as_ref().map(status::ours).as_ref() == Some(&after) {
            self.queue.done(name);
            return;
        }
        let outcome = match timeout(CALL_TIMEOUT, self.of.write(&known.object, &after)).await {
            Ok(Ok(())) => {
                debug!(name, state = ?after.state, "told how a rule stands");
                self.queue.done(name);
                if self.told.take().is_some() {
                    info!("rules are told how they stand again");
                }
                self.events
                    .tell(&known.object, before.as_ref(), &after)
                    .await;
                "written"
            }
            // It is another by now, of which the watch tells.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                self.queue.again(name);
                "conflict"
            }
            failed => {
                let why = match failed {
                    Ok(Err(e)) => api_reason(&e),
                    _ => "no answer in time".to_owned(),
                };
                self.queue.again(name);
                if self.told.as_ref() != Some(&why) {
                    warn!(name, reason = why, "a rule cannot be told how it stands");
                    self.told = Some(why);
                }
                "failed"
            }
        };
        self.of.written.with_label_values(&[outcome]).inc();
        sleep(PACE).await;
    }
}

impl Reconciler {
    /// Writes `status`, unless the object is no longer what it was said of. What others tell in
    /// conditions of their own stays.
    async fn write(
        &self,
        object: &DynamicObject,
        status: &RoutingRuleStatus,
    ) -> Result<(), kube::Error> {
        let kind = routing_rule::kind();
        let of = &object.metadata;
        let name = of.name.as_deref().unwrap_or_default();
        let body = json!({
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name, "uid": of.uid, "resourceVersion": of.resource_version},
            "status": status,
        });
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        self.api
            .patch_status(name, &ours, &Patch::Apply(body))
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
