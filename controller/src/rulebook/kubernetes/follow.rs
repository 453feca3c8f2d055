//! Brings what is told of the objects to the [`Feeder`], with the life that they belong to.

use std::pin::pin;
use std::time::Duration;

use a8_common::http::Condition;
use a8_common::kubernetes::rule_objects::{CallError, bounded, version};
use a8_common::kubernetes::{Cluster, ROUTING_RULES, Told, Wanted, follow, routing_rule};
use a8_common::model::Epoch;
use a8_common::task::Stop;
use futures_util::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::core::{DynamicObject, TypeMeta};
use tokio::time::sleep;
use tracing::{info, warn};

use super::CALL_TIMEOUT;
use super::feeder::Feeder;

/// After how long the definition is looked at again, where that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Feeds `feeder` until `stop` fires. `data` says whether what is there has been read and is
/// being followed.
pub(super) struct Follower {
    pub(super) cluster: Cluster,
    pub(super) feeder: Feeder,
    pub(super) data: Condition,
    /// The epoch where we may not read the definition, whose life it is.
    pub(super) fallback: Epoch,
}

impl Follower {
    pub(super) async fn run(self, stop: Stop) {
        stop.race(self.follow()).await;
    }

    async fn follow(&self) {
        let wanted = Wanted {
            resource: ROUTING_RULES,
            namespace: Some(&self.cluster.namespace),
            name: None,
        };
        let mut all = pin!(follow(self.cluster.client.clone(), wanted));
        let mut problem = None;
        while let Some(told) = all.next().await {
            match self.take(told).await {
                Ok(()) => {
                    self.data.good();
                    if problem.take().is_some() {
                        info!("the rules of the cluster are followed");
                    }
                }
                Err(e) => {
                    let reason = e.to_string();
                    self.data.bad(&reason);
                    if problem.as_ref() != Some(&reason) {
                        warn!(%reason, "the rules of the cluster cannot be followed");
                        problem = Some(reason);
                    }
                }
            }
        }
    }

    async fn take(&self, told: Told<DynamicObject>) -> Result<(), CallError> {
        let of = |object: &DynamicObject| version(object.metadata.resource_version.as_deref());
        match told {
            Told::All {
                objects,
                version: v,
            } => {
                let version = version(Some(&v))?;
                // After the list: of a definition that was deleted meanwhile, the watch tells.
                let epoch = self.epoch().await;
                let objects = objects.into_iter().map(typed).collect();
                self.feeder.load(&epoch, version, objects);
            }
            Told::Put(object) => self.feeder.put(of(&object)?, typed(object)),
            Told::Gone(object) => self.feeder.gone(of(&object)?, &object),
            Told::Reached(v) => self.feeder.reached(version(Some(&v))?),
            Told::NoSuchKind => {
                self.gone().await;
                return Err(CallError::NoDefinition);
            }
            Told::Trouble(trouble) => return Err(CallError::Unavailable(trouble.reason)),
        }
        Ok(())
    }

    /// One life of the data is one definition: with it all rules go. All controllers know it
    /// by the same name.
    async fn epoch(&self) -> Epoch {
        loop {
            match self.definition().await {
                Ok(uid) => return uid.map_or_else(|| self.fallback.clone(), |u| Epoch::named(&u)),
                Err(CallError::NotAllowed { reason, .. }) => {
                    info!(
                        reason,
                        "resuming watches at another controller and If-Match with its ETags need it"
                    );
                    return self.fallback.clone();
                }
                // What was listed is of no definition any more: it is told soon.
                Err(CallError::NoDefinition) => return self.fallback.clone(),
                Err(e) => {
                    self.data.bad(e.to_string());
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// The uid of the definition.
    async fn definition(&self) -> Result<Option<String>, CallError> {
        let api: Api<CustomResourceDefinition> = Api::all(self.cluster.client.clone());
        let asked = api.get_metadata(routing_rule::DEFINITION);
        let definition = bounded(CALL_TIMEOUT, asked).await?;
        Ok(definition.metadata.uid)
    }

    /// There seems to be no definition. An API server that has just begun may only not know of
    /// it yet: then nothing is gone.
    async fn gone(&self) {
        if let Err(CallError::NoDefinition) = self.definition().await {
            self.feeder.clear();
        }
    }
}

/// `object` with its type, which the members of a list lack and whoever writes it back needs.
fn typed(mut object: DynamicObject) -> DynamicObject {
    if object.types.is_none() {
        let kind = routing_rule::kind();
        object.types = Some(TypeMeta {
            api_version: kind.api_version,
            kind: kind.kind,
        });
    }
    object
}
