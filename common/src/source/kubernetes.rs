//! Instances and rules from a Kubernetes cluster: from EndpointSlices with the Pods behind
//! them, and from RoutingRules.
//!
//! Both follow the objects of one namespace. While the API server is away, or refuses, what
//! was known stays, and the link says why. The view's revisions are the source's own: it
//! begins a new epoch with each start.

mod instances;
mod rules;

use std::time::Instant;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::kubernetes::Cluster;
use crate::rule::RuleSource;
use crate::run::shortened;
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

/// So many bytes are said of what is wrong.
const MAX_PROBLEM: usize = 2000;

/// How a source stands.
#[derive(Debug, Default)]
struct Said {
    /// Why the API server is not heard of.
    trouble: Option<String>,
    /// How many objects are left out.
    left_out: usize,
    /// Which, for people.
    remark: Option<String>,
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

    fn tell(&mut self, said: Said) {
        let Said {
            trouble,
            left_out,
            remark,
        } = said;
        if self.said != trouble {
            match &trouble {
                Some(problem) => warn!(what = self.what, %problem, "what was known stays"),
                None => info!(what = self.what, "the cluster is followed again"),
            }
            self.said.clone_from(&trouble);
        }
        self.link.send_modify(|link| {
            link.connected = trouble.is_none();
            if link.connected {
                link.last_contact = Some(Instant::now());
            }
            link.left_out = left_out;
            link.problem = trouble.or(remark).map(|all| shortened(all, MAX_PROBLEM));
        });
    }
}
