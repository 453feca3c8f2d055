//! The native proxy: HTTP from the application to the instances that the rules choose.
//!
//! One thread per core, each with its own runtime, listener and connection pools; the kernel
//! spreads connections over them. A request stays on its thread from accept to the last byte
//! and touches the shared state by one pointer load. Nothing here talks to the control
//! plane: [`Routes`] are handed in by the state owner through an atomic swap.
//!
//! The way of a request: [`listener`] → [`converse`] (which protocol) → [`serve`] →
//! [`routes`] (decide) → [`attempt`] (balance, faults, time limit, retries) → [`pool`] or
//! [`connect`] → [`body`] back. Byte streams go their own, shorter way: [`tcp`].

mod access_log;
mod acquire;
mod addresses;
mod affinity;
mod aim;
mod attempt;
mod backend;
mod balance;
mod body;
mod budget;
mod connect;
mod connections;
mod converse;
mod doors;
mod exchange;
mod framing;
mod gate;
mod gather;
mod grpc;
mod headers;
mod http2;
mod limits;
mod listener;
mod me;
mod metrics;
mod pool;
mod record;
mod relay;
mod replay;
mod reply;
mod roster;
mod routes;
mod serve;
mod tcp;
mod tls;
mod translate;
mod transport;
mod trial;
mod upgrade;
mod upstream;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use a8_common::task::{Stop, Tasks};
use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, Semaphore, oneshot};
use tracing::error;

pub use access_log::Target as AccessLog;
pub use addresses::{Addresses, Known};
pub use affinity::Key as AffinityKey;
pub use backend::{Backend, Key, Members};
pub use listener::Listen;
pub use me::Me;
pub use metrics::{CodeClass, Export, Gauge, Metrics, Waits};
pub use routes::Routes;
pub use tcp::TcpProxy;
pub use tls::{Kept, Own, Standing, TlsError};
pub use upstream::{Target, Unusable, Upstream};

use doors::Doors;
use worker::Worker;

/// How long the log may take for its last lines.
const LOG_GRACE: Duration = Duration::from_secs(2);

/// How the proxy is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// Ports that lead to services whatever is spoken over them.
    pub tcp: Vec<TcpProxy>,
    /// How many threads serve.
    pub workers: usize,
    /// Where the access log goes.
    pub access_log: AccessLog,
    /// Whom it calls for.
    pub caller: Arc<ArcSwap<Me>>,
    /// The domain below which services have host names.
    pub domain: Box<str>,
    /// What callers are shown; without it, they are spoken to in clear.
    pub tls: Option<Own>,
    /// The only authorities by which instances are trusted; without it those of the system.
    pub ca_cert_file: Option<PathBuf>,
    /// How long the bodies of an exchange may stand still before it is ended.
    pub idle_timeout: Duration,
    /// The most bytes that the body of a request may have.
    pub max_request_body: u64,
    /// The key of affinity cookies.
    pub affinity: Arc<AffinityKey>,
}

/// What all workers read.
#[derive(Debug)]
pub struct Shared {
    /// The state to route by.
    pub routes: Arc<ArcSwap<Routes>>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    caller: Arc<ArcSwap<Me>>,
    domain: Box<str>,
    tls_server: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    tls_client: tls::Client,
    idle_timeout: Duration,
    max_request_body: u64,
    affinity: Arc<AffinityKey>,
    /// The most callers of HTTP that a worker has at a time, and the most byte streams.
    max_callers: usize,
    /// By which each worker is told that others wait for connections.
    nudges: Box<[Notify]>,
    /// Whether callers are asked to come with another connection, as this one ends soon.
    leaving: AtomicBool,
    /// Whether whatever is not finished is cut off.
    aborted: AtomicBool,
}

/// How a worker is told to begin and to end.
#[derive(Clone)]
struct Ending {
    /// To accept.
    open: Stop,
    /// To say when it serves no request; it goes on.
    ask: Stop,
    /// Where it says so, once.
    idle: Arc<Semaphore>,
    /// No further connections and requests.
    close: Stop,
    /// At once.
    abort: Stop,
}

/// A running proxy. Dropping it ends it at once.
pub struct Proxy {
    address: SocketAddr,
    tcp_addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    ending: Ending,
    workers: Vec<oneshot::Receiver<()>>,
    certificates: Vec<Kept>,
    log: Option<access_log::Writer>,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("cannot listen on {listen}")]
    Bind {
        /// What was asked for.
        listen: Listen,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The port of a TCP proxy cannot be had.
    #[error("cannot listen on {} for proxy_config.tcp_proxies[{at}] ({})", proxy.listen, proxy.service)]
    BindTcp {
        /// What was asked for.
        proxy: TcpProxy,
        /// Its place in the configuration.
        at: usize,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {target}")]
    AccessLog {
        /// Where it was to go.
        target: AccessLog,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// Starts a proxy that routes by `routes`. It listens; callers wait until it is
/// [opened](Proxy::open). What it keeps up with beside requests runs as `tasks`.
///
/// # Errors
/// [`StartError`] says what is missing; nothing is left running then.
pub fn start(
    config: Config,
    routes: Arc<ArcSwap<Routes>>,
    metrics: Arc<Metrics>,
    tasks: &Tasks,
) -> Result<Proxy, StartError> {
    let own = config.tls.as_ref().map(|own| tls::server(own, tasks));
    let (tls_server, own) = own.transpose()?.unzip();
    let given = config.ca_cert_file.as_deref();
    let given = given.map(|file| tls::Client::given(file, tasks));
    let (tls_client, authorities) = given.transpose()?.unzip();
    let bound = doors::bind(&config, &metrics)?;
    let (log, writer) = access_log::open(&config.access_log, &metrics)
        .map_err(|source| StartError::AccessLog {
            target: config.access_log.clone(),
            source,
        })?
        .unzip();
    let shared = Arc::new(Shared {
        routes,
        metrics,
        caller: config.caller,
        domain: config.domain,
        tls_server,
        tls_client: tls_client.unwrap_or_else(tls::Client::system),
        idle_timeout: config.idle_timeout,
        max_request_body: config.max_request_body,
        affinity: config.affinity,
        max_callers: listener::most_callers(config.workers, !config.tcp.is_empty()),
        nudges: bound.doors.iter().map(|_| Notify::new()).collect(),
        leaving: AtomicBool::new(false),
        aborted: AtomicBool::new(false),
    });
    let mut proxy = Proxy {
        address: bound.http,
        tcp_addresses: bound.tcp,
        shared: shared.clone(),
        ending: Ending {
            open: Stop::new(),
            ask: Stop::new(),
            idle: Arc::new(Semaphore::new(0)),
            close: Stop::new(),
            abort: Stop::new(),
        },
        workers: Vec::new(),
        certificates: own.into_iter().chain(authorities).collect(),
        log: writer,
    };
    for (at, doors) in bound.doors.into_iter().enumerate() {
        let (ended, end) = oneshot::channel();
        let (shared, log, ending) = (shared.clone(), log.clone(), proxy.ending.clone());
        std::thread::Builder::new()
            .name(format!("proxy-{at}"))
            .spawn(move || {
                if let Err(e) = work(at, shared, log, doors, ending) {
                    error!(error = %e, "a worker ended");
                }
                // Nobody waits when the proxy was dropped.
                let _ = ended.send(());
            })
            .map_err(StartError::Worker)?;
        proxy.workers.push(end);
    }
    Ok(proxy)
}

/// The life of one worker thread.
fn work(
    at: usize,
    shared: Arc<Shared>,
    log: Option<access_log::Log>,
    doors: Doors,
    ending: Ending,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async move { Worker::new(at, shared, log).run(doors, ending).await })
}

impl Proxy {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the TCP proxies listen, in the order of the configuration.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        &self.tcp_addresses
    }

    /// The files of certificates that it keeps up with.
    pub fn certificates(&self) -> &[Kept] {
        &self.certificates
    }

    /// Begins to accept callers.
    pub fn open(&self) {
        self.ending.open.fire();
    }

    /// Asks callers in HTTP/1, with each answer from now on, to come with another connection: at
    /// the end an idle one is closed, and a request that is on its way then is lost. All are
    /// served as before. In HTTP/2 the end is announced when it comes, and loses nothing.
    pub fn leave(&self) {
        self.shared.leaving.store(true, Ordering::Relaxed);
    }

    /// Waits until each worker has had a moment without a request, at most for `grace`. New
    /// requests are served all the while; byte streams are none. Cancel-safe.
    pub async fn quiet(&self, grace: Duration) {
        self.ending.ask.fire();
        let workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        // In vain when a worker has failed: it says nothing any more.
        let _ = tokio::time::timeout(grace, self.ending.idle.acquire_many(workers)).await;
    }

    /// Stops accepting, lets requests in flight and byte streams end, at most for `grace`, and ends.
    pub async fn drain(mut self, grace: Duration) {
        self.ending.close.fire();
        let workers = std::mem::take(&mut self.workers);
        let all = async {
            for worker in workers {
                // A worker that is gone has ended, too.
                let _ = worker.await;
            }
        };
        let mut all = std::pin::pin!(all);
        if tokio::time::timeout(grace, &mut all).await.is_err() {
            self.abort();
            all.await;
        }
        if let Some(log) = self.log.take() {
            let finish = tokio::task::spawn_blocking(move || log.finish(LOG_GRACE));
            // The writer reports for itself.
            let _ = finish.await;
        }
    }

    fn abort(&self) {
        self.shared.aborted.store(true, Ordering::Relaxed);
        self.ending.abort.fire();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
