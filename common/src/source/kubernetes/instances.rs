//! EndpointSlices, with the Pods and Services behind them, as instances.
//!
//! Three kinds are followed; nothing is published before all have been listed, and a pod's
//! address not before the pod is known, since without its labels rules would miss it.
//! [`Join`] has the meaning; [`small`] what is kept of each object.

mod claims;
mod join;
mod outage;
mod small;

use std::collections::BTreeSet;
use std::pin::pin;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tracing::info;

use self::join::{Changed, Join};
use self::outage::Outage;
use super::{AT_ONCE, Said, Teller};
use crate::kubernetes::{
    Cluster, ENDPOINT_SLICES, EndpointSlice, Head, PODS, SERVICES, Service, Told, Trouble, Wanted,
    follow,
};
use crate::model::{Epoch, Instance, InstanceId, Revision};
use crate::source::{Link, Source};
use crate::task::Stop;
use crate::view::Publisher;
use crate::watch::MAX_ITEMS;

/// What was told, and of which kind.
#[allow(clippy::large_enum_variant, reason = "handed on at once")]
enum Heard {
    Slice(Told<EndpointSlice>),
    Pod(Told<Head>),
    Service(Told<Service>),
}

/// The source.
pub(super) struct Instances {
    cluster: Cluster,
}

impl Instances {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    fn hear(self) -> impl Stream<Item = Heard> + Send {
        let Cluster { client, namespace } = self.cluster;
        let all = |resource| Wanted {
            resource,
            namespace: Some(&namespace),
            name: None,
        };
        let slices = follow(client.clone(), all(ENDPOINT_SLICES));
        let pods = follow(client.clone(), all(PODS.metadata_only()));
        let services = follow(client, all(SERVICES));
        stream::select(
            stream::select(slices.map(Heard::Slice), pods.map(Heard::Pod)),
            services.map(Heard::Service),
        )
    }

    async fn keep(self, out: Publisher<Instance>, link: watch::Sender<Link>) {
        let mut heard = pin!(self.hear().ready_chunks(AT_ONCE));
        let mut keeper = Keeper::new(out);
        let mut teller = Teller::new("instances", link);
        loop {
            let heard = tokio::select! {
                heard = heard.next() => heard,
                () = keeper.outage.over() => {
                    keeper.join.doubt(false);
                    Some(Vec::new())
                }
            };
            let Some(heard) = heard else {
                return;
            };
            for heard in heard {
                keeper.take(heard);
            }
            keeper.publish();
            if let Some(said) = keeper.said() {
                teller.tell(said);
            }
        }
    }
}

#[async_trait]
impl Source<Instance> for Instances {
    async fn run(self: Box<Self>, out: Publisher<Instance>, link: watch::Sender<Link>, stop: Stop) {
        stop.race(self.keep(out, link)).await;
    }
}

/// How it stands with one kind.
#[derive(Default)]
struct Standing {
    listed: bool,
    /// Why it is not heard of.
    trouble: Option<Trouble>,
}

impl Standing {
    /// Notes how it stands; what there is to take in is returned.
    fn hear<K>(&mut self, told: Told<K>) -> Option<Told<K>> {
        match told {
            Told::Trouble(trouble) => {
                self.trouble = Some(trouble);
                None
            }
            // Kinds that every cluster has: whoever denies them is no API server.
            Told::NoSuchKind => {
                self.trouble = Some(Trouble {
                    reason: "the API server does not know the kinds of Kubernetes".to_owned(),
                    refused: false,
                });
                None
            }
            told => {
                self.listed |= matches!(told, Told::All { .. });
                self.trouble = None;
                Some(told)
            }
        }
    }

    fn is_refused(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.refused)
    }
}

struct Keeper {
    out: Publisher<Instance>,
    join: Join,
    slices: Standing,
    pods: Standing,
    services: Standing,
    outage: Outage,
    /// What has been published, once something has.
    place: Option<(Epoch, Revision)>,
    /// Instances that are too many.
    left_out: BTreeSet<InstanceId>,
}

impl Keeper {
    fn new(out: Publisher<Instance>) -> Self {
        Self {
            out,
            join: Join::default(),
            slices: Standing::default(),
            pods: Standing::default(),
            services: Standing::default(),
            outage: Outage::default(),
            place: None,
            left_out: BTreeSet::new(),
        }
    }

    fn take(&mut self, heard: Heard) {
        let join = &mut self.join;
        match heard {
            Heard::Slice(told) => {
                let told = self.slices.hear(told);
                join.doubt(self.outage.note(told.is_some()));
                match told {
                    Some(Told::All { objects, .. }) => join.slices(objects),
                    Some(Told::Put(slice)) => join.slice(slice),
                    Some(Told::Gone(slice)) => join.no_slice(&slice),
                    Some(Told::Reached(_) | Told::NoSuchKind | Told::Trouble(_)) | None => {}
                }
            }
            Heard::Pod(told) => {
                match self.pods.hear(told) {
                    Some(Told::All { objects, .. }) => join.pods(objects),
                    Some(Told::Put(pod)) => join.pod(pod),
                    Some(Told::Gone(pod)) => join.no_pod(&pod),
                    Some(Told::Reached(_) | Told::NoSuchKind | Told::Trouble(_)) | None => {}
                }
                // Who may not see pods any more would lose a service with each of its updates.
                join.go_without_pods(self.pods.listed && self.pods.is_refused());
            }
            Heard::Service(told) => match self.services.hear(told) {
                Some(Told::All { objects, .. }) => join.services(objects),
                Some(Told::Put(service)) => join.service(service),
                Some(Told::Gone(service)) => join.no_service(&service),
                Some(Told::Reached(_) | Told::NoSuchKind | Told::Trouble(_)) | None => {}
            },
        }
    }

    fn publish(&mut self) {
        let kinds = [&self.slices, &self.pods, &self.services];
        if !kinds.iter().all(|kind| kind.listed) {
            return;
        }
        let changed = self.join.changed();
        let Changed { upserts, removes } = self.bounded(changed);
        match &mut self.place {
            None => {
                info!(instances = upserts.len(), "loaded");
                let (epoch, revision) = (Epoch::fresh(), Revision(1));
                self.out.replace(&epoch, revision, upserts);
                self.place = Some((epoch, revision));
            }
            Some(_) if upserts.is_empty() && removes.is_empty() => {}
            Some((_, revision)) => {
                *revision = Revision(revision.0 + 1);
                self.out.apply(*revision, upserts, &removes);
            }
        }
    }

    /// What there is room for. What is left out stays so until it changes and there is room.
    fn bounded(&mut self, changed: Changed) -> Changed {
        let Changed {
            mut upserts,
            removes,
        } = changed;
        let known = self.out.view().snapshot();
        for id in &removes {
            self.left_out.remove(id);
        }
        let gone = removes.iter().filter(|id| known.items.contains_key(*id));
        let mut room = MAX_ITEMS.saturating_sub(known.items.len()) + gone.count();
        upserts.retain(|instance| {
            let fits = known.items.contains_key(&instance.id) || room > 0;
            if fits {
                room -= usize::from(!known.items.contains_key(&instance.id));
                self.left_out.remove(&instance.id);
            } else {
                self.left_out.insert(instance.id.clone());
            }
            fits
        });
        Changed { upserts, removes }
    }

    /// How it stands; `None` while that is not known.
    fn said(&self) -> Option<Said> {
        let kinds = [&self.slices, &self.pods, &self.services];
        let troubles = kinds.iter().filter_map(|kind| kind.trouble.as_ref());
        let mut troubles: Vec<&str> = troubles.map(|trouble| &*trouble.reason).collect();
        troubles.dedup();
        if troubles.is_empty() && self.place.is_none() {
            // Some kinds may not have been heard of at all.
            return None;
        }
        let left_out = self.left_out.len();
        Some(Said {
            trouble: (!troubles.is_empty()).then(|| troubles.join("; ")),
            left_out,
            remark: (left_out > 0)
                .then(|| format!("{left_out} instances are left out: more than {MAX_ITEMS}")),
        })
    }
}

#[cfg(test)]
mod tests;
