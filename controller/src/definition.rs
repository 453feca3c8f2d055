//! The definition of `RoutingRule` in the cluster: installed where it is lacking and we may,
//! brought up to date where it is older than ours, otherwise told of.
//!
//! Nothing here keeps the controller from starting. What is lacking stands in `/ready`, and
//! is tried again for as long as it takes; whoever installs the definition by hand is noticed.
//! A newer definition than ours is left alone. One that was there and is deleted was deleted on
//! purpose, with all rules: it is not put back before the next start.

use std::time::Duration;

use a8_common::host::Site;
use a8_common::http::Condition;
use a8_common::kubernetes::routing_rule::{
    DEFINITION, DEFINITION_VERSION, crd, definition_version,
};
use a8_common::kubernetes::{Cluster, DEFINITIONS, Told, Trouble, Wanted, api_reason, follow};
use a8_common::task::Stop;
use futures_util::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::rulebook::kubernetes::FIELD_MANAGER;

/// How long the API server may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long what failed is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// After how long what we may not do is tried again: somebody may have allowed it.
const MUCH_LATER: Duration = Duration::from_secs(30);

/// Looks after the definition, by a task of `site`.
pub fn start(cluster: &Cluster, site: &Site<'_>) {
    let keeper = Keeper {
        client: cluster.client.clone(),
        condition: site.health.condition("definition"),
        seen: false,
        told: None,
    };
    let keeping = keeper.run(site.tasks.stop().clone());
    site.tasks.spawn("definition", keeping);
}

struct Keeper {
    client: Client,
    condition: Condition,
    /// Whether it has been there.
    seen: bool,
    /// What the log was told last: it is told of changes only.
    told: Option<String>,
}

impl Keeper {
    async fn run(mut self, stop: Stop) {
        stop.race(self.keep()).await;
    }

    async fn keep(&mut self) {
        let wanted = Wanted {
            resource: DEFINITIONS,
            namespace: None,
            name: Some(DEFINITION),
        };
        let mut states = std::pin::pin!(follow(self.client.clone(), wanted));
        let mut last: Option<Option<CustomResourceDefinition>> = None;
        let mut again = None;
        loop {
            let retry = async {
                match again {
                    Some(wait) => sleep(jittered(wait)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = states.next() => match told {
                    Some(Told::All { objects, .. }) => last = Some(objects.into_iter().next()),
                    Some(Told::Put(definition)) => last = Some(Some(definition)),
                    Some(Told::Gone(_)) => last = Some(None),
                    Some(Told::Reached(_) | Told::NoSuchKind) => continue,
                    Some(Told::Trouble(trouble)) => {
                        self.unknown(&trouble);
                        continue;
                    }
                    // It goes on for ever.
                    None => return,
                },
                () = retry => {}
            }
            again = match &last {
                Some(Some(definition)) => self.there(definition).await,
                Some(None) => self.lacking().await,
                None => None,
            };
        }
    }

    /// It is there. After how long to look again, if what it lacks does not come by itself.
    async fn there(&mut self, definition: &CustomResourceDefinition) -> Option<Duration> {
        if definition.metadata.deletion_timestamp.is_some() {
            self.bad(format!("{DEFINITION} is being deleted"));
            return None;
        }
        let version = definition_version(definition);
        let mut again = None;
        if version < DEFINITION_VERSION {
            match self.apply().await {
                Ok(()) => info!(
                    version,
                    now = DEFINITION_VERSION,
                    "the definition was renewed"
                ),
                Err(Refused::Forbidden(why)) => {
                    self.tell(format!(
                        "{DEFINITION} is older than this controller, which may not renew it: {why}"
                    ));
                    again = Some(MUCH_LATER);
                }
                Err(Refused::Failed(why)) => {
                    self.tell(format!("{DEFINITION} is older than this controller, and could not be renewed: {why}"));
                    again = Some(AGAIN);
                }
            }
        }
        match lacks(definition) {
            None => {
                self.seen = true;
                self.condition.good();
                if again.is_none() && self.told.take().is_some() {
                    info!("{DEFINITION} is there");
                }
            }
            Some(Lacking::Names(why)) => self.bad(format!("{DEFINITION} is not in force: {why}")),
            // That takes a moment.
            Some(Lacking::Time) => self
                .condition
                .bad(format!("{DEFINITION} is not in force yet")),
        }
        again
    }

    /// It is not there. After how long to look again.
    async fn lacking(&mut self) -> Option<Duration> {
        const RUN: &str = "run kubectl apply -f kubernetes/crd.yaml, or a8ctl install";
        if self.seen {
            self.bad(format!(
                "{DEFINITION} was deleted, and all rules with it; to have it again, {RUN}"
            ));
            return None;
        }
        match self.apply().await {
            Ok(()) => {
                info!("{DEFINITION} was installed");
                None
            }
            Err(Refused::Forbidden(_)) => {
                self.bad(format!(
                    "{DEFINITION} is not installed, and this controller may not do so: {RUN}"
                ));
                Some(MUCH_LATER)
            }
            Err(Refused::Failed(why)) => {
                self.bad(format!(
                    "{DEFINITION} is not installed, and installing it failed: {why}"
                ));
                Some(AGAIN)
            }
        }
    }

    /// Whether it is there cannot be told. Where we may not look, following the rules shows.
    fn unknown(&mut self, trouble: &Trouble) {
        if trouble.refused && !self.seen {
            self.condition.good();
        }
        let reason = &trouble.reason;
        self.tell(format!("{DEFINITION} cannot be looked at: {reason}"));
    }

    async fn apply(&self) -> Result<(), Refused> {
        let ours = PatchParams::apply(FIELD_MANAGER).force();
        let definition = Patch::Apply(crd());
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let applied = api.patch(DEFINITION, &ours, &definition);
        match timeout(CALL_TIMEOUT, applied).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(Refused::Forbidden(status.message))
            }
            Ok(Err(e)) => Err(Refused::Failed(api_reason(&e))),
            Err(_) => Err(Refused::Failed("no answer in time".to_owned())),
        }
    }

    fn bad(&mut self, why: String) {
        self.condition.bad(&why);
        self.tell(why);
    }

    fn tell(&mut self, what: String) {
        if self.told.as_ref() != Some(&what) {
            warn!("{what}");
            self.told = Some(what);
        }
    }
}

/// Why it was not applied.
enum Refused {
    /// We may not.
    Forbidden(String),
    /// Something went wrong.
    Failed(String),
}

/// Why a definition is not in force.
enum Lacking {
    /// Another has its names.
    Names(String),
    /// The API server has not come to it.
    Time,
}

fn lacks(definition: &CustomResourceDefinition) -> Option<Lacking> {
    let conditions = definition
        .status
        .iter()
        .flat_map(|status| &status.conditions);
    let mut conditions = conditions.flatten();
    let holds = |kind, status| {
        move |of: &&CustomResourceDefinitionCondition| of.type_ == kind && of.status == status
    };
    if conditions
        .clone()
        .any(|of| holds("Established", "True")(&of))
    {
        return None;
    }
    let refused = conditions.find(holds("NamesAccepted", "False"));
    Some(refused.map_or(Lacking::Time, |of| {
        Lacking::Names(of.message.clone().unwrap_or_default())
    }))
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(fastrand::f64() * 0.5 + 0.75)
}

#[cfg(test)]
mod tests;
