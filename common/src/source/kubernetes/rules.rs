//! RoutingRules as rules.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use kube::Api;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{AT_ONCE, Teller};
use crate::kubernetes::routing_rule::{kind, rule};
use crate::kubernetes::{Cluster, Told, Which, follow, reason};
use crate::model::{Epoch, Revision, RuleId};
use crate::rule::Rule;
use crate::source::{Link, Source};
use crate::task::Stop;
use crate::view::Publisher;
use crate::watch::MAX_ITEMS;

/// How long the resource must have been unknown before rules are given up for it. An API
/// server that starts may deny for a moment what it serves.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// How many of the objects that are left out are named on the link.
const NAMED: usize = 3;

/// The source.
pub(super) struct Rules {
    cluster: Cluster,
}

impl Rules {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    async fn keep(self, out: Publisher<Rule>, link: watch::Sender<Link>) {
        let Cluster { client, namespace } = self.cluster;
        let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &kind());
        let mut told = pin!(follow(api, Which::All).ready_chunks(AT_ONCE));
        let mut keeper = Keeper::new(out);
        let mut teller = Teller::new("rules", link);
        while let Some(told) = told.next().await {
            let mut trouble = None;
            for told in told {
                trouble = keeper.take(told);
            }
            keeper.publish();
            teller.tell(trouble, keeper.remark());
        }
    }
}

#[async_trait]
impl Source<Rule> for Rules {
    async fn run(self: Box<Self>, out: Publisher<Rule>, link: watch::Sender<Link>, stop: Stop) {
        stop.race(self.keep(out, link)).await;
    }
}

/// What came of the objects so far.
struct Keeper {
    out: Publisher<Rule>,
    epoch: Epoch,
    revision: Revision,
    loaded: bool,
    /// All rules, when they are to be published as a whole.
    whole: Option<BTreeMap<RuleId, Arc<Rule>>>,
    /// Otherwise what changed: `None` is gone.
    changed: BTreeMap<RuleId, Option<Arc<Rule>>>,
    /// The objects that are no rules, by name, and why.
    left_out: BTreeMap<String, String>,
    /// Since when the cluster does not know the resource.
    unknown_since: Option<Instant>,
}

impl Keeper {
    fn new(out: Publisher<Rule>) -> Self {
        Self {
            out,
            epoch: Epoch::fresh(),
            revision: Revision(0),
            loaded: false,
            whole: None,
            changed: BTreeMap::new(),
            left_out: BTreeMap::new(),
            unknown_since: None,
        }
    }

    /// Takes in what was told. Returns why the API server is not heard of, if it is not.
    fn take(&mut self, told: Told<DynamicObject>) -> Option<String> {
        if !matches!(told, Told::Trouble(_)) {
            self.unknown_since = None;
        }
        match told {
            Told::All(objects) => {
                let names: Vec<_> = objects
                    .iter()
                    .filter_map(|o| o.metadata.name.clone())
                    .collect();
                self.left_out.retain(|name, _| names.contains(name));
                let rules = objects.iter().take(MAX_ITEMS).filter_map(|o| self.read(o));
                let whole = rules.map(|rule| (rule.id().clone(), rule)).collect();
                self.all(whole);
            }
            Told::Put(object) => match self.read(&object) {
                Some(rule) => self.change(rule.id().clone(), Some(rule)),
                None => self.gone(&object),
            },
            Told::Gone(object) => {
                if let Some(name) = &object.metadata.name {
                    self.left_out.remove(name);
                }
                self.gone(&object);
            }
            Told::Trouble(e) if is_unknown(&e) => return self.unknown(),
            Told::Trouble(e) => return Some(reason(&e)),
        }
        None
    }

    /// The rule that an object is; what is none is said once.
    fn read(&mut self, object: &DynamicObject) -> Option<Arc<Rule>> {
        let name = object.metadata.name.clone().unwrap_or_default();
        match rule(object) {
            Ok(rule) => {
                self.left_out.remove(&name);
                Some(Arc::new(rule))
            }
            Err(e) => {
                let why = e.to_string();
                if self.left_out.get(&name) != Some(&why) {
                    warn!(rule = name, %why, "a RoutingRule is left out");
                    self.left_out.insert(name, why);
                }
                None
            }
        }
    }

    fn all(&mut self, whole: BTreeMap<RuleId, Arc<Rule>>) {
        self.changed.clear();
        self.whole = Some(whole);
    }

    fn change(&mut self, id: RuleId, rule: Option<Arc<Rule>>) {
        match &mut self.whole {
            Some(whole) => {
                match rule {
                    Some(rule) => whole.insert(id, rule),
                    None => whole.remove(&id),
                };
            }
            None => {
                self.changed.insert(id, rule);
            }
        }
    }

    fn gone(&mut self, object: &DynamicObject) {
        let id = object.metadata.name.as_deref().map(RuleId::new);
        if let Some(Ok(id)) = id {
            self.change(id, None);
        }
    }

    /// The cluster has no such resource. Without it there are no rules; with rules at hand it
    /// has to be so for a while.
    fn unknown(&mut self) -> Option<String> {
        let since = *self.unknown_since.get_or_insert_with(Instant::now);
        if !self.loaded || since.elapsed() >= UNKNOWN_FOR {
            self.left_out.clear();
            self.all(BTreeMap::new());
        }
        let problem =
            "the cluster has no RoutingRules: apply kubernetes/crd.yaml, or run a8ctl install";
        Some(problem.to_owned())
    }

    fn publish(&mut self) {
        let next = Revision(self.revision.0 + 1);
        if let Some(whole) = self.whole.take() {
            if !self.loaded {
                info!(rules = whole.len(), "loaded");
            }
            self.loaded = true;
            self.out
                .replace(&self.epoch, next, whole.into_values().collect());
        } else if !self.changed.is_empty() {
            let mut upserts = Vec::new();
            let mut removes = Vec::new();
            for (id, rule) in std::mem::take(&mut self.changed) {
                match rule {
                    Some(rule) => upserts.push(rule),
                    None => removes.push(id),
                }
            }
            self.out.apply(next, upserts, &removes);
        } else {
            return;
        }
        self.revision = next;
    }

    /// Which objects are left out, for people.
    fn remark(&self) -> Option<String> {
        if self.left_out.is_empty() {
            return None;
        }
        let named = self.left_out.iter().take(NAMED);
        let named: Vec<_> = named.map(|(name, why)| format!("{name}: {why}")).collect();
        let all = self.left_out.len();
        Some(format!(
            "{all} RoutingRules are left out; {}",
            named.join("; ")
        ))
    }
}

/// Whether the API server does not know the resource, as opposed to an object of it.
fn is_unknown(e: &watcher::Error) -> bool {
    match e {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::InitialListFailed(_)
        | watcher::Error::WatchStartFailed(_)
        | watcher::Error::WatchFailed(_)
        | watcher::Error::NoResourceVersion => false,
    }
}
