//! Which tags the instances of each service carry now.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use a8_common::model::{Instance, ServiceName, Tags};
use a8_common::source::{self, Discovery, Feed};
use a8_common::task::{Stop, Tasks};
use a8_common::view::Subscription;
use tokio::time::{Instant, sleep_until};

/// The sets of tags that the instances of each service carry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Carried(HashMap<ServiceName, HashSet<Tags>>);

impl Carried {
    pub(super) fn of<'a>(instances: impl Iterator<Item = &'a Instance>) -> Self {
        let mut carried: HashMap<_, HashSet<_>> = HashMap::new();
        for instance in instances {
            let sets = carried.entry(instance.service_name.clone()).or_default();
            sets.insert(instance.tags.clone());
        }
        Self(carried)
    }

    /// Whether some instance of `service` carries all of `wanted`.
    pub(super) fn any(&self, service: &ServiceName, wanted: &Tags) -> bool {
        let mut sets = self.0.get(service).into_iter().flatten();
        sets.any(|tags| tags.contains_all(wanted))
    }
}

/// Follows the instances that a source tells of, until it is dropped.
pub(super) struct Instances {
    /// What they carry; `None` until they are known.
    pub(super) tags: Option<Carried>,
    feed: Feed<Instance>,
    changes: Subscription<Instance>,
    /// When a change is looked at.
    due: Option<Instant>,
    /// Ends the following with it.
    _tasks: Tasks,
}

impl Instances {
    pub(super) fn follow(source: Box<Discovery>) -> Self {
        let tasks = Tasks::new(Stop::new());
        let feed = source::start("instances", source, &tasks);
        Self {
            tags: None,
            changes: feed.view.subscribe(),
            feed,
            due: None,
            _tasks: tasks,
        }
    }

    /// Waits until they are known. Cancel-safe.
    pub(super) async fn loaded(&mut self) {
        self.feed.view.loaded().await;
        self.take();
    }

    /// Waits until what they carry is something else, which is looked at `pause` after a
    /// change: one seldom comes alone. Cancel-safe.
    pub(super) async fn changed(&mut self, pause: Duration) {
        loop {
            match self.due {
                Some(due) => {
                    sleep_until(due).await;
                    self.due = None;
                    if self.take() {
                        return;
                    }
                }
                None if self.changes.next().await.is_some() => {
                    self.due = Some(Instant::now() + pause);
                }
                // The source has ended, which it never does by itself.
                None => return std::future::pending().await,
            }
        }
    }

    fn take(&mut self) -> bool {
        let now = self.feed.view.snapshot();
        if !now.is_loaded() {
            return false;
        }
        let carried = Some(Carried::of(now.items.values().map(AsRef::as_ref)));
        let news = carried != self.tags;
        self.tags = carried;
        news
    }
}
