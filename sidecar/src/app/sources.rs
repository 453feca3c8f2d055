//! Where the sidecar learns what it routes by, and who it is.

use std::path::PathBuf;
use std::sync::Arc;

use a8_common::peer::Peer;
use a8_common::rule::RuleSource;
#[cfg(feature = "kubernetes")]
use a8_common::source::kept::Record;
use a8_common::source::kept::{self, Pace, Place};
use a8_common::source::{self, Discovery, amalgam8, filesystem};
use a8_common::task::Tasks;
use a8_common::watch::Wire;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::StartError;
use crate::config::{Config, Source};
use crate::identity::Itself;
use crate::proxy::{Me, Metrics};

/// Whom the proxy calls for, and where it is counted.
pub(super) type Caller = (Arc<ArcSwap<Me>>, Arc<Metrics>);

/// Opens sources. All that ask a cluster have one client of it.
pub(super) struct Sources {
    #[cfg(feature = "kubernetes")]
    cluster: Option<a8_common::kubernetes::Cluster>,
    state_dir: Option<PathBuf>,
}

#[cfg(feature = "kubernetes")]
impl Sources {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let rules = config.proxy.as_ref().map(|proxy| &proxy.rules);
        let asked = [config.instances.as_ref(), rules]
            .into_iter()
            .any(|source| matches!(source, Some(Source::Kubernetes)));
        let cluster = match asked || config.pod.is_some() {
            true => Some(a8_common::kubernetes::Cluster::open(&config.kubernetes).await?),
            false => None,
        };
        let state_dir = config.state_dir.clone();
        Ok(Self { cluster, state_dir })
    }

    /// Finds out who the sidecar is, if its pod is to say, and keeps up with it. Whether that
    /// is known is returned.
    pub(super) fn identify(
        &self,
        config: &Config,
        itself: watch::Sender<Itself>,
        caller: Caller,
        tasks: &Tasks,
    ) -> watch::Receiver<bool> {
        let registers = config.register.is_some();
        let complete = config.itself.is_complete(registers);
        // The address of the pod is worth asking for, but not waiting for.
        let asked = !complete || (registers && config.itself.host.is_none());
        let pod = config.pod.as_ref().filter(|_| asked);
        let (known, is_known) = watch::channel(complete || pod.is_none());
        if let (Some(cluster), Some(pod)) = (&self.cluster, pod) {
            let record = self.state_dir.as_ref().map(|folder| Record {
                folder: folder.clone(),
                kind: "identity",
                origin: format!("pod {pod} in namespace {}", cluster.namespace),
            });
            let (cluster, pod) = (cluster.clone(), pod.clone());
            crate::identity::follow(cluster, pod, itself, caller, known, record, tasks);
        }
        is_known
    }

    fn namespace(&self) -> Option<String> {
        let namespace = &self.cluster.as_ref()?.namespace;
        Some(format!("namespace {namespace} of the cluster"))
    }

    fn cluster_instances(&self) -> Option<Box<Discovery>> {
        let cluster = self.cluster.clone()?;
        Some(a8_common::source::kubernetes::instances(cluster))
    }

    fn cluster_rules(&self) -> Option<Box<RuleSource>> {
        let cluster = self.cluster.clone()?;
        Some(a8_common::source::kubernetes::rules(cluster))
    }
}

/// Without Kubernetes; what would need it the configuration has refused.
#[cfg(not(feature = "kubernetes"))]
impl Sources {
    pub(super) async fn open(config: &Config) -> Result<Self, StartError> {
        let state_dir = config.state_dir.clone();
        Ok(Self { state_dir })
    }

    pub(super) fn identify(
        &self,
        _: &Config,
        _: watch::Sender<Itself>,
        _: Caller,
        _: &Tasks,
    ) -> watch::Receiver<bool> {
        watch::channel(true).1
    }

    fn namespace(&self) -> Option<String> {
        None
    }

    fn cluster_instances(&self) -> Option<Box<Discovery>> {
        None
    }

    fn cluster_rules(&self) -> Option<Box<RuleSource>> {
        None
    }
}

impl Sources {
    pub(super) fn instances(&self, source: &Source) -> Result<Box<Discovery>, StartError> {
        let opened = match source {
            Source::Amalgam8 { server, poll } => amalgam8::instances(Peer::open(server)?, *poll),
            Source::Filesystem(path) => filesystem::instances(path.clone()),
            Source::Kubernetes => self.cluster_instances().ok_or(StartError::NoCluster)?,
        };
        Ok(self.kept(source, opened))
    }

    pub(super) fn rules(&self, source: &Source) -> Result<Box<RuleSource>, StartError> {
        let opened = match source {
            Source::Amalgam8 { server, poll } => amalgam8::rules(Peer::open(server)?, *poll),
            Source::Filesystem(path) => filesystem::rules(path.clone()),
            Source::Kubernetes => self.cluster_rules().ok_or(StartError::NoCluster)?,
        };
        Ok(self.kept(source, opened))
    }

    /// Has the last good state kept, where that is wanted and not on disk anyway.
    fn kept<T: Wire>(
        &self,
        source: &Source,
        opened: Box<dyn source::Source<T>>,
    ) -> Box<dyn source::Source<T>> {
        match (&self.state_dir, self.origin(source)) {
            (Some(folder), Some(origin)) => kept::kept(
                opened,
                Place {
                    folder: folder.clone(),
                    origin,
                    pace: Pace::default(),
                },
            ),
            _ => opened,
        }
    }

    /// Whose state a source has.
    fn origin(&self, source: &Source) -> Option<String> {
        match source {
            Source::Amalgam8 { server, .. } => {
                let urls: Vec<_> = server.urls.iter().map(ToString::to_string).collect();
                Some(urls.join(","))
            }
            Source::Kubernetes => self.namespace(),
            Source::Filesystem(_) => None,
        }
    }
}
