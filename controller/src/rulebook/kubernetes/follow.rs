//! Following the objects: list them, then every change, for as long as it takes.
//!
//! It is not [`a8_common::kubernetes::follow`]: the revision of the namespace is the version
//! of a list or of a change, and kube's watcher keeps those of lists to itself. They are what
//! makes several controllers agree: the version of the cluster is one for all of them.

use std::time::Duration;

use a8_common::http::Condition;
use a8_common::model::Epoch;
use a8_common::task::Stop;
use futures_util::StreamExt;
use kube::Client;
use kube::api::{WatchEvent, WatchParams};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::feeder::Feeder;
use super::objects::{CallError, Objects, uid_of_definition, version};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A watch that ends sooner is begun again after a pause.
const SHORT: Duration = Duration::from_secs(5);
/// How long the API server keeps a watch, in seconds.
const WATCH_SECONDS: u32 = 290;

/// Feeds `feeder` until `stop` fires. `data` says whether what is there has been read and is
/// being followed.
pub(super) struct Follower {
    pub(super) client: Client,
    pub(super) objects: Objects,
    pub(super) feeder: Feeder,
    pub(super) data: Condition,
    /// The epoch where we may not read the definition, whose life it is.
    pub(super) fallback: Epoch,
}

impl Follower {
    pub(super) async fn run(mut self, stop: Stop) {
        stop.race(self.follow()).await;
    }

    async fn follow(&mut self) {
        let mut at = None;
        let mut pause = FIRST_PAUSE;
        let mut told = None;
        let mut expired = false;
        loop {
            let began = Instant::now();
            let ended = self.go_on(&mut at, &mut told).await;
            if began.elapsed() > SHORT {
                pause = FIRST_PAUSE;
            }
            let before = std::mem::replace(&mut expired, matches!(ended, Err(CallError::Expired)));
            if expired && !before {
                // What came before it was another trouble.
                pause = FIRST_PAUSE;
            }
            match ended {
                Ok(()) if began.elapsed() > SHORT => continue,
                Ok(()) => {}
                Err(CallError::Expired) => {
                    info!("fell behind the cluster, reading the rules anew");
                    at = None;
                }
                Err(e) => {
                    if let CallError::NoDefinition = e {
                        at = None;
                        self.gone().await;
                    }
                    let reason = e.to_string();
                    self.data.bad(&reason);
                    if told.as_ref() != Some(&reason) {
                        warn!(%reason, "the rules of the cluster cannot be followed");
                        told = Some(reason);
                    }
                }
            }
            // Jitter, so that many controllers do not come back all at once.
            sleep(pause.mul_f64(fastrand::f64() + 0.5)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Goes on from `at`, or lists everything first. `Ok` when a watch came to its end.
    async fn go_on(
        &self,
        at: &mut Option<u64>,
        told: &mut Option<String>,
    ) -> Result<(), CallError> {
        let from = match *at {
            Some(from) => from,
            None => {
                let listed = self.objects.list().await?;
                // After the list: of a definition that was deleted meanwhile, the watch tells.
                let epoch = self.epoch().await?;
                self.feeder.load(&epoch, listed.version, listed.objects);
                *at.insert(listed.version)
            }
        };
        let asked = WatchParams::default().timeout(WATCH_SECONDS);
        let watch = self.objects.api.watch(&asked, &from.to_string()).await?;
        let mut watch = std::pin::pin!(watch);
        self.data.good();
        if told.take().is_some() {
            info!("the rules of the cluster are followed");
        }
        while let Some(event) = watch.next().await {
            *at = Some(self.take(event?)?);
        }
        Ok(())
    }

    fn take(&self, event: WatchEvent<kube::core::DynamicObject>) -> Result<u64, CallError> {
        match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = version(object.metadata.resource_version.as_deref())?;
                self.feeder.put(version, object);
                Ok(version)
            }
            WatchEvent::Deleted(object) => {
                let version = version(object.metadata.resource_version.as_deref())?;
                self.feeder.gone(version, &object);
                Ok(version)
            }
            WatchEvent::Bookmark(bookmark) => {
                let version = version(Some(&bookmark.metadata.resource_version))?;
                self.feeder.reached(version);
                Ok(version)
            }
            WatchEvent::Error(status) => Err(status.into()),
        }
    }

    /// One life of the data is one definition: with it all rules go. All controllers know it
    /// by the same name.
    async fn epoch(&self) -> Result<Epoch, CallError> {
        match uid_of_definition(&self.client).await {
            Ok(uid) => Ok(uid.map_or_else(|| self.fallback.clone(), |uid| Epoch::named(&uid))),
            Err(CallError::NotAllowed { reason, .. }) => {
                info!(
                    reason,
                    "resuming watches at another controller and If-Match with its ETags need it"
                );
                Ok(self.fallback.clone())
            }
            Err(e) => Err(e),
        }
    }

    /// There seems to be no definition. An API server that has just begun may only not know of
    /// it yet: then nothing is gone.
    async fn gone(&self) {
        if let Err(CallError::NoDefinition) = uid_of_definition(&self.client).await {
            self.feeder.clear();
        }
    }
}
