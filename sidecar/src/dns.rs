//! The DNS server: services by name, below one domain.
//!
//! It reads the view of the instances as the proxy does, and works without the proxy. A task keeps
//! an index of the instances that take requests and publishes it by one atomic swap; a question is
//! answered from it without a lock. What lies outside of the domain is refused, or forwarded to
//! the servers that the operator names. `docs/dns.md` says what can be asked.
//!
//! | module | owns |
//! |---|---|
//! | `name` | names as they are compared |
//! | `entry` | one instance, and how it is asked for |
//! | `index` | which instances a name stands for |
//! | `keeper` | the index, kept as the view is |
//! | `zone` | the records that answer a question |
//! | `message` | messages from and to the wire |
//! | `forward` | the servers that know other domains |
//! | `server` | from a message to its reply |
//! | `listen`, `udp`, `tcp` | the sockets |

mod entry;
mod forward;
mod index;
mod keeper;
mod listen;
mod message;
mod metrics;
mod name;
mod server;
mod tcp;
mod udp;
mod zone;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use a8_common::http::Health;
use a8_common::model::Instance;
use a8_common::source::Feed;
use a8_common::task::Tasks;
use prometheus::Registry;
use tokio::sync::watch;
use tracing::{Instrument, info, info_span};

use crate::state::{Names, Status};
use forward::Forwarder;
use keeper::Keeper;
use metrics::Metrics;
use server::Server;
use zone::Zone;

pub use listen::{Listen, ListenError};
pub use name::{Domain, DomainError};

/// What the server is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it is asked.
    pub listen: Listen,
    /// What it answers for.
    pub domain: Domain,
    /// Who answers for the rest, the most trusted first. Without any the rest is refused.
    pub upstreams: Vec<SocketAddr>,
    /// How long instances are kept that a new epoch of the registry does not know.
    pub grace: Duration,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its sockets.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its metrics.
    #[error("cannot set up the metrics of the DNS server")]
    Metrics(#[from] prometheus::Error),
}

/// Starts the server as tasks of `tasks`; it ends with them. Returns where it is asked,
/// and how far it has taken in what is known of instances.
///
/// Ready is `health` once the instances are known; until then questions fail for a while
/// (SERVFAIL), so that nobody takes a service for missing.
///
/// # Errors
/// [`StartError`] when a port cannot be had.
pub fn start(
    config: &Config,
    instances: &Feed<Instance>,
    names: Names,
    (health, registry): (&Health, &Registry),
    tasks: &Tasks,
) -> Result<(Vec<SocketAddr>, watch::Receiver<Status>), StartError> {
    let sockets = listen::bind(&config.listen)?;
    let metrics = Metrics::new(registry)?;
    let updates = instances.view.subscribe();
    let (keeper, index, status) = Keeper::new(updates, &config.domain, names, config.grace);
    tasks.spawn(
        "dns index",
        keeper.run(health.condition("dns"), tasks.stop().clone()),
    );
    let server = Arc::new(Server {
        zone: Zone::new(config.domain.clone(), index),
        forwarder: Forwarder::new(&config.upstreams),
        metrics,
    });
    let mut addresses = Vec::new();
    for bound in sockets {
        let address = bound.address;
        info!(listener = "dns", %address, domain = %config.domain, "listening");
        addresses.push(address);
        let span = || info_span!("listener", listener = "dns", %address);
        let udp = udp::serve(server.clone(), bound.udp, tasks.stop().clone());
        tasks.spawn("dns over udp", udp.instrument(span()));
        let tcp = tcp::serve(server.clone(), bound.tcp, tasks.stop().clone());
        tasks.spawn("dns over tcp", tcp.instrument(span()));
    }
    Ok((addresses, status))
}

#[cfg(test)]
mod tests;
