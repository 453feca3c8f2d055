//! The instances of a namespace, as sidecars see them: one look, by the source that sidecars
//! have.

use std::sync::Arc;
use std::time::Duration;

use a8_common::kubernetes::{Cluster, lacking_permission};
use a8_common::model::Instance;
use a8_common::source::{self, Feed};
use a8_common::task::{Stop, Tasks};
use serde_json::{Value, json};

use crate::error::Error;

/// How long they may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// All instances, as a registry lists them.
///
/// # Errors
/// [`Error::Forbidden`] or [`Error::Silent`].
pub(crate) async fn list(cluster: &Cluster) -> Result<Value, Error> {
    let instances = look(cluster).await?;
    Ok(json!({ "instances": instances }))
}

/// All instances, in the order of service and id.
///
/// # Errors
/// [`Error::Forbidden`] or [`Error::Silent`].
pub(crate) async fn look(cluster: &Cluster) -> Result<Vec<Arc<Instance>>, Error> {
    let tasks = Tasks::new(Stop::new());
    let source = a8_common::source::kubernetes::instances(cluster.clone());
    let mut feed = source::start("instances", source, &tasks);
    let looked = tokio::time::timeout(PATIENCE, loaded(&mut feed)).await;
    tasks.stop().fire();
    looked.map_err(|_| Error::Silent("none in time".to_owned()))??;
    let mut all: Vec<_> = feed.view.snapshot().items.values().cloned().collect();
    all.sort_by(|a, b| (&a.service_name, &a.id).cmp(&(&b.service_name, &b.id)));
    Ok(all)
}

/// Waits until they are there, or the API server is in the way: what it refuses once it will
/// refuse again.
async fn loaded(feed: &mut Feed<Instance>) -> Result<(), Error> {
    loop {
        if let Some(why) = feed.link.borrow_and_update().problem.clone() {
            return Err(match lacking_permission(&why) {
                Some(what) => Error::Forbidden(what),
                None => Error::Silent(why),
            });
        }
        tokio::select! {
            _ = feed.view.loaded() => return Ok(()),
            changed = feed.link.changed() => {
                if changed.is_err() {
                    return Err(Error::Silent("the look at the instances ended".to_owned()));
                }
            }
        }
    }
}
