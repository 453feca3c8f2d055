//! What a Kubernetes cluster knows of instances, among those that registered.
//!
//! The cluster's instances are entries of the store like any other, without a lease: what a
//! registry's clients see of revisions and epochs is the store's. They are no business of
//! registrations: nobody can renew them or take them away. Only a store in memory holds them,
//! since a durable one would remember what the cluster forgot while nobody looked.

use std::collections::BTreeSet;
use std::sync::Arc;

use a8_common::http::Health;
use a8_common::model::{Instance, InstanceId, Namespace};
use a8_common::source::{self, Discovery, Feed};
use a8_common::store::{Store, Transaction};
use a8_common::task::{Stop, Tasks};
use a8_common::view::{Update, View};
use tracing::{error, info};

use super::key;

/// How many entries one transaction writes.
const AT_ONCE: usize = 1000;

/// The instances of a cluster.
pub(super) struct Cluster(View<Instance>);

impl Cluster {
    /// Keeps the namespace `default` up with what `source` tells. Readiness waits for the
    /// first of it.
    pub(super) fn start(
        source: Box<Discovery>,
        store: Arc<dyn Store>,
        tasks: &Tasks,
        health: &Health,
    ) -> Self {
        let Feed { view, .. } = source::start("kubernetes", source, tasks);
        let loaded = health.condition("kubernetes");
        loaded.bad("nothing has been heard of the cluster yet");
        let import = import(view.clone(), store, tasks.stop().clone(), move || {
            loaded.good();
        });
        tasks.spawn("import", import);
        Self(view)
    }

    /// Whether the instance is one of the cluster's.
    pub(super) fn has(&self, id: &InstanceId) -> bool {
        self.0.snapshot().items.contains_key(id)
    }
}

async fn import(view: View<Instance>, store: Arc<dyn Store>, stop: Stop, loaded: impl Fn()) {
    let namespace = Namespace::default_one();
    let mut updates = view.subscribe();
    let mut known: BTreeSet<InstanceId> = BTreeSet::new();
    while let Some(Some(update)) = stop.race(updates.next()).await {
        let (puts, gone): (Vec<Arc<Instance>>, Vec<InstanceId>) = match update {
            Update::Reset(now) => {
                let gone = known.iter().filter(|id| !now.items.contains_key(*id));
                (
                    now.items.values().cloned().collect(),
                    gone.cloned().collect(),
                )
            }
            Update::Change(change) => (
                change
                    .upserts
                    .iter()
                    .map(|upsert| upsert.item.clone())
                    .collect(),
                change
                    .removes
                    .iter()
                    .map(|instance| instance.id.clone())
                    .collect(),
            ),
        };
        for id in &gone {
            known.remove(id);
        }
        known.extend(puts.iter().map(|instance| instance.id.clone()));
        write(&*store, &namespace, &puts, &gone).await;
        loaded();
    }
    info!("the cluster is no longer looked at");
}

async fn write(
    store: &dyn Store,
    namespace: &Namespace,
    puts: &[Arc<Instance>],
    gone: &[InstanceId],
) {
    let puts = puts.iter().filter_map(|instance| {
        let value = serde_json::to_vec(&**instance).ok()?;
        Some((key::instance(namespace, &instance.id), Some(value)))
    });
    let gone = gone.iter().map(|id| (key::instance(namespace, id), None));
    let all: Vec<_> = puts.chain(gone).collect();
    for some in all.chunks(AT_ONCE) {
        let transaction = some.iter().cloned().fold(
            Transaction::new(),
            |transaction, (key, value)| match value {
                Some(value) => transaction.put(key, value),
                None => transaction.delete(key),
            },
        );
        // A store in memory refuses nothing of this kind.
        if let Err(e) = store.commit(transaction).await {
            error!(error = %e, "instances of the cluster are not written");
        }
    }
}
