//! RoutingRules as rules.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{AT_ONCE, Said, Teller};
use crate::kubernetes::routing_rule::read;
use crate::kubernetes::{Cluster, ROUTING_RULES, RuleObject, Told, Wanted, follow};
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
        let wanted = Wanted {
            resource: ROUTING_RULES,
            namespace: Some(&namespace),
            name: None,
        };
        let mut told = pin!(follow(client, wanted).ready_chunks(AT_ONCE));
        let mut keeper = Keeper::new(out);
        let mut teller = Teller::new("rules", link);
        while let Some(told) = told.next().await {
            let mut said = Said::default();
            for told in told {
                said.trouble = keeper.take(told);
            }
            keeper.publish();
            said.left_out = keeper.left_out.len();
            said.remark = keeper.remark();
            teller.tell(said);
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
    rules: BTreeMap<RuleId, Arc<Rule>>,
    /// Those that are other than what was published.
    changed: BTreeSet<RuleId>,
    /// The objects that are left out, by name, and why.
    left_out: BTreeMap<String, String>,
    /// Since when the cluster says without a break that it does not know the resource.
    unknown_since: Option<Instant>,
}

impl Keeper {
    fn new(out: Publisher<Rule>) -> Self {
        Self {
            out,
            epoch: Epoch::fresh(),
            revision: Revision(0),
            loaded: false,
            rules: BTreeMap::new(),
            changed: BTreeSet::new(),
            left_out: BTreeMap::new(),
            unknown_since: None,
        }
    }

    /// Takes in what was told. Returns why the API server is not heard of, if it is not.
    fn take(&mut self, told: Told<RuleObject>) -> Option<String> {
        if !matches!(told, Told::NoSuchKind) {
            self.unknown_since = None;
        }
        match told {
            Told::All { objects, .. } => self.all(objects),
            Told::Put(object) => self.put(object),
            Told::Gone(object) => self.gone(&object.metadata.name),
            Told::Reached(_) => {}
            Told::NoSuchKind => return Some(self.unknown()),
            Told::Trouble(trouble) => return Some(trouble.reason),
        }
        None
    }

    fn all(&mut self, objects: Vec<RuleObject>) {
        let names: BTreeSet<String> = objects.iter().map(|o| o.metadata.name.clone()).collect();
        self.left_out.retain(|name, _| names.contains(name));
        let former: Vec<_> = self.rules.keys().cloned().collect();
        for id in former.iter().filter(|id| !names.contains(id.as_str())) {
            self.gone(id.as_str());
        }
        objects.into_iter().for_each(|object| self.put(object));
        if !self.loaded {
            info!(rules = self.rules.len(), "loaded");
            self.loaded = true;
        }
    }

    /// What is no rule is said once.
    fn put(&mut self, object: RuleObject) {
        let name = object.metadata.name;
        let rule = read(&name, object.spec.as_ref()).map_err(|e| e.to_string());
        match rule.and_then(|rule| self.hold(rule)) {
            Ok(()) => {
                self.left_out.remove(&name);
            }
            Err(why) if self.left_out.get(&name) == Some(&why) => {}
            Err(why) => {
                self.gone(&name);
                warn!(rule = name, %why, "a RoutingRule is left out");
                self.left_out.insert(name, why);
            }
        }
    }

    /// A change of an object that is none of its rule goes unnoticed.
    fn hold(&mut self, rule: Rule) -> Result<(), String> {
        let held = self.rules.get(rule.id());
        if held.is_some_and(|held| **held == rule) {
            return Ok(());
        }
        if held.is_none() && self.rules.len() >= MAX_ITEMS {
            return Err(format!("there are more than {MAX_ITEMS} rules"));
        }
        self.changed.insert(rule.id().clone());
        self.rules.insert(rule.id().clone(), Arc::new(rule));
        Ok(())
    }

    fn gone(&mut self, name: &str) {
        self.left_out.remove(name);
        if let Ok(id) = RuleId::new(name)
            && self.rules.remove(&id).is_some()
        {
            self.changed.insert(id);
        }
    }

    /// The cluster has no such resource. Without it there are no rules; with rules at hand it
    /// has to be so for a while.
    fn unknown(&mut self) -> String {
        let since = *self.unknown_since.get_or_insert_with(Instant::now);
        if !self.loaded || since.elapsed() >= UNKNOWN_FOR {
            self.all(Vec::new());
        }
        "the cluster has no RoutingRules: apply kubernetes/crd.yaml, or run a8ctl install".into()
    }

    fn publish(&mut self) {
        if self.loaded && self.revision == Revision(0) {
            let all = self.rules.values().cloned().collect();
            self.revision = Revision(1);
            self.out.replace(&self.epoch, self.revision, all);
            self.changed.clear();
        }
        if self.changed.is_empty() {
            return;
        }
        let mut upserts = Vec::new();
        let mut removes = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            match self.rules.get(&id) {
                Some(rule) => upserts.push(rule.clone()),
                None => removes.push(id),
            }
        }
        self.revision = Revision(self.revision.0 + 1);
        self.out.apply(self.revision, upserts, &removes);
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
