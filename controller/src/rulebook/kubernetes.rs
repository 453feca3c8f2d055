//! The rules as objects of a cluster: `RoutingRule`s of one namespace, which others may make
//! and change as well.
//!
//! Reads and watches are served from a view that follows the objects ([`follow`]). Objects
//! that are no valid rules are left out of it; they are never a reason to fail. The revision of
//! the namespace is the version of the newest list or change that made the rules what they
//! are: it grows, and controllers that have seen the same change agree on it. The epoch is
//! the definition's uid, with which all rules come and go.
//!
//! A cluster knows no transactions over several objects. A [`mod@write`] is tried out as a whole
//! first, then done, and undone when it fails half-way. Others may see the steps.
//!
//! What the controller's account must be allowed, in the namespace unless it says otherwise:
//!
//! | what | verbs | for |
//! |---|---|---|
//! | `amalgam8.io/routingrules` | get, list, watch, create, update, delete | this book |
//! | `amalgam8.io/routingrules/status` | patch | [`reconcile`](crate::reconcile) |
//! | `coordination.k8s.io/leases` | get, create, update | [`lease`](crate::lease) |
//! | `events.k8s.io/events` | create, patch | events of rules that are no longer, or again, valid |
//! | `discovery.k8s.io/endpointslices`, pods, services | get, list, watch | whether backends have instances |
//! | `apiextensions.k8s.io/customresourcedefinitions` `routingrules.amalgam8.io`, of the cluster | get, list, watch | the epoch; [`definition`](crate::definition) |
//! | the same, to install or renew it | create, patch | only where the controller may do so |

mod contents;
mod errors;
mod feeder;
mod follow;
mod journal;
mod plan;
mod write;

use std::sync::Arc;
use std::time::Duration;

use a8_common::host::Site;
use a8_common::http::IfMatch;
use a8_common::kubernetes::Cluster;
use a8_common::kubernetes::rule_objects::Objects;
use a8_common::model::{Epoch, Namespace, Revision};
use a8_common::rule::Rule;
use a8_common::store::Unavailable;
use a8_common::task::Tasks;
use tokio::sync::{oneshot, watch};

use self::feeder::Feeder;
use self::follow::Follower;
use self::plan::Wanted;
use self::write::{Desk, Outcome};
use super::{Mode, Removed, Selection, Shelf, ShelfError, WriteError};

pub use contents::{Contents, Known};

/// The name by which the API server knows whose a change is.
pub const FIELD_MANAGER: &str = "a8controller";

/// How long the API server may take to answer a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// The rules of one namespace of a cluster.
pub struct Book {
    desk: Arc<Desk>,
    /// As what callers know the namespace.
    names: Vec<Namespace>,
    /// A write is done or undone as a whole, whether or not its caller waits for it.
    tasks: Tasks,
}

impl Book {
    /// Opens the book; a task of `site` keeps its view up to date and tells its health. Where
    /// `everybody` may call, the namespace is `default` to callers, as it is without a token;
    /// to those with one it has its own name.
    ///
    /// # Errors
    /// When there is a metric already that the book counts.
    pub fn start(
        cluster: &Cluster,
        site: &Site<'_>,
        everybody: bool,
    ) -> Result<Self, prometheus::Error> {
        let mut names: Vec<Namespace> = Namespace::new(&cluster.namespace).into_iter().collect();
        if everybody {
            names.push(Namespace::default_one());
        }
        let ours = names.first().cloned();
        let shelf = Shelf::not_loaded(ours.unwrap_or_else(Namespace::default_one));
        let shelf = Arc::new(shelf);
        let (sender, contents) = watch::channel(Contents::default());
        let objects = Objects::new(cluster, FIELD_MANAGER, CALL_TIMEOUT);
        let follower = Follower {
            cluster: cluster.clone(),
            feeder: Feeder::new(shelf.clone(), sender, site.metrics)?,
            data: site.health.condition("data"),
            fallback: Epoch::fresh(),
        };
        let following = follower.run(site.tasks.stop().clone());
        site.tasks.spawn("rule-follower", following);
        Ok(Self {
            desk: Arc::new(Desk::new(objects, shelf, contents)),
            names,
            tasks: site.tasks.clone(),
        })
    }

    /// All objects of the namespace, as they change.
    pub fn contents(&self) -> watch::Receiver<Contents> {
        self.desk.contents()
    }

    /// See [`RuleBook::shelf`](super::RuleBook::shelf).
    pub(super) fn shelf(&self, namespace: &Namespace) -> Result<Arc<Shelf>, ShelfError> {
        let shelf = self.desk.shelf();
        if !self.names.contains(namespace) {
            return Err(ShelfError::Elsewhere {
                ours: shelf.namespace().clone(),
            });
        }
        match shelf.snapshot().is_loaded() {
            true => Ok(shelf.clone()),
            false => Err(ShelfError::NotLoaded),
        }
    }

    /// See [`RuleBook::newest`](super::RuleBook::newest).
    pub(super) async fn newest(&self) -> Result<Revision, Unavailable> {
        self.desk.newest().await
    }

    /// See [`RuleBook::add`](super::RuleBook::add).
    pub(super) async fn add(
        &self,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let wanted = Wanted::Add(rules.to_vec());
        Ok(self.write(wanted, condition, mode).await?.revision)
    }

    /// See [`RuleBook::update`](super::RuleBook::update).
    pub(super) async fn update(
        &self,
        rules: &[Rule],
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Revision, WriteError> {
        let wanted = Wanted::Update(rules.to_vec());
        Ok(self.write(wanted, condition, mode).await?.revision)
    }

    /// See [`RuleBook::remove`](super::RuleBook::remove). Without a choice it takes the objects
    /// that are no valid rules as well.
    pub(super) async fn remove(
        &self,
        selection: &Selection,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Removed, WriteError> {
        let wanted = Wanted::Remove(selection.clone());
        let Outcome { ids, revision } = self.write(wanted, condition, mode).await?;
        Ok(Removed { ids, revision })
    }

    async fn write(
        &self,
        wanted: Wanted,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Outcome, WriteError> {
        let (done, outcome) = oneshot::channel();
        let (desk, condition) = (self.desk.clone(), condition.clone());
        self.tasks.spawn("rule-write", async move {
            // A caller that has gone needs no answer.
            let _ = done.send(desk.write(&wanted, &condition, mode).await);
        });
        let broken = |_| Unavailable::because("the write was broken off");
        outcome.await.map_err(broken)?
    }
}

#[cfg(test)]
pub(crate) mod tests;
