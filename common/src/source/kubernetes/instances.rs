//! EndpointSlices, with the Pods and Services behind them, as instances.
//!
//! Three kinds are followed; nothing is published before all have been listed, and a pod's
//! address not before the pod is known, since without its labels rules would miss it.
//! [`Join`] has the meaning; [`small`] what is kept of each object.

mod join;
mod small;

use std::pin::pin;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::core::PartialObjectMeta;
use tokio::sync::watch;
use tracing::info;

use self::join::{Changed, Join};
use super::{AT_ONCE, Teller};
use crate::kubernetes::{Cluster, Told, Which, follow, reason};
use crate::model::{Epoch, Instance, Revision};
use crate::source::{Link, Source};
use crate::task::Stop;
use crate::view::Publisher;

/// What was told, and of which kind.
#[allow(clippy::large_enum_variant, reason = "handed on at once")]
enum Heard {
    Slice(Told<EndpointSlice>),
    Pod(Told<PartialObjectMeta<Pod>>),
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
        let slices = follow(Api::namespaced(client.clone(), &namespace), Which::All);
        let pods = follow(Api::namespaced(client.clone(), &namespace), Which::All);
        let services = follow(Api::namespaced(client, &namespace), Which::All);
        stream::select(
            stream::select(slices.map(Heard::Slice), pods.map(Heard::Pod)),
            services.map(Heard::Service),
        )
    }

    async fn keep(self, out: Publisher<Instance>, link: watch::Sender<Link>) {
        let mut heard = pin!(self.hear().ready_chunks(AT_ONCE));
        let mut keeper = Keeper::new(out);
        let mut teller = Teller::new("instances", link);
        while let Some(heard) = heard.next().await {
            for heard in heard {
                keeper.take(heard);
            }
            keeper.publish();
            if let Some(trouble) = keeper.trouble() {
                teller.tell(trouble, None);
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
    trouble: Option<String>,
}

impl Standing {
    /// Notes how it stands; what there is to take in is returned.
    fn hear<K>(&mut self, told: Told<K>) -> Option<Told<K>> {
        match told {
            Told::Trouble(e) => {
                self.trouble = Some(reason(&e));
                None
            }
            told => {
                self.listed |= matches!(told, Told::All(_));
                self.trouble = None;
                Some(told)
            }
        }
    }
}

struct Keeper {
    out: Publisher<Instance>,
    join: Join,
    slices: Standing,
    pods: Standing,
    services: Standing,
    /// What has been published, once something has.
    place: Option<(Epoch, Revision)>,
}

impl Keeper {
    fn new(out: Publisher<Instance>) -> Self {
        Self {
            out,
            join: Join::default(),
            slices: Standing::default(),
            pods: Standing::default(),
            services: Standing::default(),
            place: None,
        }
    }

    fn take(&mut self, heard: Heard) {
        let join = &mut self.join;
        match heard {
            Heard::Slice(told) => match self.slices.hear(told) {
                Some(Told::All(slices)) => join.slices(slices),
                Some(Told::Put(slice)) => join.slice(slice),
                Some(Told::Gone(slice)) => join.no_slice(&slice),
                Some(Told::Trouble(_)) | None => {}
            },
            Heard::Pod(told) => match self.pods.hear(told) {
                Some(Told::All(pods)) => join.pods(pods),
                Some(Told::Put(pod)) => join.pod(pod),
                Some(Told::Gone(pod)) => join.no_pod(&pod),
                Some(Told::Trouble(_)) | None => {}
            },
            Heard::Service(told) => match self.services.hear(told) {
                Some(Told::All(services)) => join.services(services),
                Some(Told::Put(service)) => join.service(service),
                Some(Told::Gone(service)) => join.no_service(&service),
                Some(Told::Trouble(_)) | None => {}
            },
        }
    }

    fn publish(&mut self) {
        let kinds = [&self.slices, &self.pods, &self.services];
        if !kinds.iter().all(|kind| kind.listed) {
            return;
        }
        let Changed { upserts, removes } = self.join.changed();
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

    /// Why the API server is not heard of, if it is not; `None` while that is not known.
    fn trouble(&self) -> Option<Option<String>> {
        let kinds = [&self.slices, &self.pods, &self.services];
        let mut troubles: Vec<_> = kinds.iter().filter_map(|k| k.trouble.as_deref()).collect();
        troubles.dedup();
        match troubles.is_empty() {
            // Some kinds may not have been heard of at all.
            true => self.place.is_some().then_some(None),
            false => Some(Some(troubles.join("; "))),
        }
    }
}

#[cfg(test)]
mod tests;
