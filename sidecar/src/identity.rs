//! Who the sidecar is: what the configuration says, member by member, and for the rest what its
//! pod is.

use std::net::{IpAddr, SocketAddr};

use a8_common::model::{
    Endpoint, EndpointError, EndpointType, HttpVersion, Identity, ServiceName, Tags,
};
use serde::{Deserialize, Serialize};

/// Who the sidecar is when nobody says.
const NOBODY: &str = "unknown";

/// What is known of the service beside the sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Itself {
    /// Its name.
    pub service: Option<ServiceName>,
    /// Its tags.
    pub tags: Option<Tags>,
    /// Its host.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// How it is spoken to.
    pub kind: Option<EndpointType>,
    /// The only version of HTTP that it speaks.
    pub protocol: Option<HttpVersion>,
}

impl Itself {
    /// How rules see it.
    pub fn identity(&self) -> Identity {
        let nobody = || ServiceName::new(NOBODY).expect("the word is a name");
        Identity {
            service: self.service.clone().unwrap_or_else(nobody),
            tags: self.tags.clone().unwrap_or_default(),
        }
    }

    /// Whether nobody need be asked how rules see it and, if it `registers`, as what.
    pub fn is_complete(&self, registers: bool) -> bool {
        self.service.is_some() && self.tags.is_some() && (!registers || self.port.is_some())
    }

    /// How it is spoken to where nobody says otherwise.
    pub(crate) fn kind(&self) -> EndpointType {
        self.kind.unwrap_or(EndpointType::Http)
    }

    /// Where it is found, as far as host and port are known.
    pub(crate) fn endpoint(&self) -> Option<Result<Endpoint, EndpointError>> {
        let (host, port) = (self.host.as_ref()?, self.port?);
        let value = match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{host}:{port}"),
        };
        Some(Endpoint::new(self.kind(), &value))
    }

    /// What stays when the pod is made again.
    #[cfg(feature = "kubernetes")]
    fn lasting(&self) -> Self {
        Self {
            host: None,
            ..self.clone()
        }
    }

    /// What is said here, and what is not as `other` says.
    #[cfg(feature = "kubernetes")]
    fn or(&self, other: Self) -> Self {
        // A port that is given has nothing to do with that of the other.
        let place = self.port.is_none();
        Self {
            service: self.service.clone().or(other.service),
            tags: self.tags.clone().or(other.tags),
            host: self.host.clone().or(other.host),
            port: self.port.or(other.port),
            kind: self.kind.or(other.kind.filter(|_| place)),
            protocol: self.protocol.or(other.protocol.filter(|_| place)),
        }
    }
}

#[cfg(feature = "kubernetes")]
mod pod {
    use std::sync::Arc;
    use std::time::Duration;

    use a8_common::kubernetes::{Cluster, whoami};
    use a8_common::source::kept::Record;
    use a8_common::task::Tasks;
    use arc_swap::ArcSwap;
    use tokio::sync::watch;
    use tokio::time::{Instant, sleep_until};
    use tracing::{info, warn};

    use super::Itself;
    use crate::proxy::{Me, Metrics};

    /// How long it is waited for to hear who the sidecar is.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// The same where it is known who it was before.
    const PATIENCE_WITH_RECORD: Duration = Duration::from_secs(2);

    impl From<whoami::Found> for Itself {
        fn from(found: whoami::Found) -> Self {
            Self {
                service: found.service,
                tags: Some(found.tags),
                host: found.host,
                port: found.place.map(|place| place.port),
                kind: found.place.map(|place| place.kind),
                protocol: found.place.and_then(|place| place.protocol),
            }
        }
    }

    /// Keeps `itself` and `me` up with what the pod is, where the configuration, which they
    /// are to begin with, does not say. `known` becomes true when that is first known, or
    /// there was enough waiting: an API server that is away does not stop the sidecar. Then it
    /// is who it was before, as `record` says that keeps it.
    pub fn follow(
        cluster: Cluster,
        pod: String,
        itself: watch::Sender<Itself>,
        (me, metrics): (Arc<ArcSwap<Me>>, Arc<Metrics>),
        known: watch::Sender<bool>,
        record: Option<Record>,
        tasks: &Tasks,
    ) {
        let given = itself.borrow().clone();
        let whose = whoami::Whose {
            pod,
            service: given.service.clone(),
        };
        let (found_tx, mut found) = watch::channel(None);
        tasks.spawn(
            "whoami",
            whoami::run(cluster, whose, found_tx, tasks.stop().clone()),
        );
        let stop = tasks.stop().clone();
        tasks.spawn("identity", async move {
            let begun = Instant::now();
            let mut before = match &record {
                Some(record) => record.load::<Itself>().await,
                None => None,
            };
            let enough = match before {
                Some(_) => begun + PATIENCE_WITH_RECORD,
                None => begun + PATIENCE,
            };
            loop {
                let waiting = !*known.borrow();
                let now = tokio::select! {
                    () = stop.wait() => return,
                    changed = found.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let Some(found) = found.borrow_and_update().clone() else {
                            continue;
                        };
                        let now = given.or(found.into());
                        if let Some(record) = &record {
                            record.save(now.lasting()).await;
                        }
                        now
                    }
                    () = sleep_until(enough), if waiting => match before.take() {
                        Some(before) => {
                            info!("goes by what was kept of who it is");
                            given.or(before)
                        }
                        None => {
                            warn!("goes on without knowing who it is");
                            known.send_replace(true);
                            continue;
                        }
                    },
                };
                let identity = now.identity();
                metrics.set_source(identity.service.as_str());
                me.store(Arc::new(identity.into()));
                itself.send_replace(now);
                known.send_replace(true);
            }
        });
    }
}

#[cfg(feature = "kubernetes")]
pub use pod::follow;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_somebody_without_a_name() {
        assert_eq!(Itself::default().identity().to_string(), "unknown");
    }

    #[cfg(feature = "kubernetes")]
    #[test]
    fn what_is_given_wins_member_by_member() {
        let pod = Itself {
            service: ServiceName::new("reviews").ok(),
            tags: Tags::parse_list("version=v2").ok(),
            host: Some("10.0.0.1".into()),
            port: Some(9080),
            kind: Some(EndpointType::Https),
            protocol: Some(HttpVersion::Two),
        };
        assert_eq!(Itself::default().or(pod.clone()), pod);
        assert!(pod.is_complete(true) && !Itself::default().is_complete(false));
        let named = Itself {
            service: ServiceName::new("mine").ok(),
            ..Itself::default()
        };
        assert_eq!(
            named.or(pod.clone()).identity().to_string(),
            "mine:version=v2"
        );
        let elsewhere = Itself {
            port: Some(80),
            ..Itself::default()
        };
        let both = elsewhere.or(pod);
        assert_eq!(
            (both.port, both.kind, both.protocol),
            (Some(80), None, None)
        );
    }
}
