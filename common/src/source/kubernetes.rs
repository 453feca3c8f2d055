//! Instances and rules from a Kubernetes cluster: from EndpointSlices with the Pods behind
//! them, and from RoutingRules.
//!
//! Both follow the objects of one namespace. While the API server is away, or refuses, what
//! was known stays, and the link says why. The view's revisions are the source's own: it
//! begins a new epoch with each start.

mod instances;
mod rules;

use std::time::SystemTime;

use tokio::sync::watch;
use tracing::warn;

use crate::kubernetes::Cluster;
use crate::rule::RuleSource;
use crate::source::{Discovery, Link};

/// How many changes that have come meanwhile are taken in at once.
const AT_ONCE: usize = 512;

/// The instances that take requests, of the cluster's namespace.
pub fn instances(cluster: Cluster) -> Box<Discovery> {
    Box::new(instances::Instances::new(cluster))
}

/// The rules of the cluster's namespace.
pub fn rules(cluster: Cluster) -> Box<RuleSource> {
    Box::new(rules::Rules::new(cluster))
}

/// Says on the link how things stand, and in the log when that changes.
struct Teller {
    what: &'static str,
    link: watch::Sender<Link>,
    /// What was last said of the connection.
    said: Option<String>,
}

impl Teller {
    fn new(what: &'static str, link: watch::Sender<Link>) -> Self {
        Self {
            what,
            link,
            said: None,
        }
    }

    /// `trouble` is why the API server is not heard of, `remark` what is left out although
    /// it is.
    fn tell(&mut self, trouble: Option<String>, remark: Option<String>) {
        if self.said != trouble {
            if let Some(problem) = &trouble {
                warn!(what = self.what, %problem, "what was known stays");
            }
            self.said.clone_from(&trouble);
        }
        self.link.send_modify(|link| {
            link.connected = trouble.is_none();
            if link.connected {
                link.last_contact = Some(SystemTime::now());
            }
            link.problem = trouble.or(remark);
        });
    }
}
