//! Keeps the service registered: registers, renews, registers anew, deregisters.
//!
//! A registry that is away never stops the sidecar: the registrar goes on asking. It says on
//! a channel how it stands, and takes the service away when it is told to stop.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use a8_common::model::{Endpoint, EndpointError, HttpVersion, InstanceId, Status};
use a8_common::registration::{Announcement, Error, Lease, Registration};
use a8_common::task::{Stop, jittered};
use serde::Serialize;
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::health::Report;
use crate::identity::Itself;

/// The first pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the last word to the registry may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long a registration that is under way is waited for, so that it can be taken away.
const SETTLE: Duration = Duration::from_secs(2);

/// How the registration stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Standing {
    /// The id that the registry gave.
    pub id: Option<InstanceId>,
    /// The endpoint that is registered.
    pub endpoint: Option<Endpoint>,
    /// Why it is not registered, or could not be renewed.
    pub problem: Option<String>,
}

/// Hosts and ports of the registries.
pub type Registries = Vec<(String, u16)>;

/// Why there is no endpoint to register.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error("the service is not known: no Service of the cluster selects this pod")]
    Service,
    #[error("the port is not known: the Service that selects this pod names none of it")]
    Port,
    #[error("the own address is not known: no registry can be reached from here")]
    Address,
    #[error("the endpoint is not valid: {0}")]
    Endpoint(#[from] EndpointError),
}

/// Why the service is not registered.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Registry(#[from] Error),
}

/// The endpoint to register.
async fn endpoint(itself: &Itself, registries: &Registries) -> Result<Endpoint, PlaceError> {
    if let Some(given) = itself.endpoint() {
        return Ok(given?);
    }
    let port = itself.port.ok_or(PlaceError::Port)?;
    let ip = own_address(registries).await.ok_or(PlaceError::Address)?;
    let value = SocketAddr::new(ip, port).to_string();
    Ok(Endpoint::new(itself.kind(), &value)?)
}

/// The address that a registry would see: that of the interface towards it. Nothing is sent
/// for this.
async fn own_address(registries: &Registries) -> Option<IpAddr> {
    for (host, port) in registries {
        let Ok(addresses) = lookup_host((host.as_str(), *port)).await else {
            continue;
        };
        for address in addresses {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => [0_u8; 4].into(),
                SocketAddr::V6(_) => [0_u16; 8].into(),
            };
            if let Ok(socket) = UdpSocket::bind((any, 0)).await
                && socket.connect(address).await.is_ok()
                && let Ok(own) = socket.local_addr()
            {
                return Some(own.ip());
            }
        }
    }
    None
}

/// Until it is another than before. Where it can no longer change, it stays as it is.
async fn another(itself: &mut watch::Receiver<Itself>) {
    if itself.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Keeps one service registered; [`run`](Registrar::run) is its task.
pub struct Registrar {
    registry: Arc<dyn Registration>,
    registries: Registries,
    itself: watch::Receiver<Itself>,
    identified: watch::Receiver<bool>,
    health: watch::Receiver<Report>,
    standing: watch::Sender<Standing>,
    /// Whether the registry was asked to register and has not answered.
    asked: watch::Sender<bool>,
}

impl Registrar {
    /// A registrar that reports on the returned channel. It waits until it is `identified`,
    /// that is, until `itself` says what is to be known, and registers the service as long as
    /// `health` says that it is up. A service without a host is registered by the address by
    /// which `registries` are reached.
    pub fn new(
        registry: Arc<dyn Registration>,
        registries: Registries,
        itself: watch::Receiver<Itself>,
        identified: watch::Receiver<bool>,
        health: watch::Receiver<Report>,
    ) -> (Self, watch::Receiver<Standing>) {
        let (standing, report) = watch::channel(Standing::default());
        let registrar = Self {
            registry,
            registries,
            itself,
            identified,
            health,
            standing,
            asked: watch::Sender::new(false),
        };
        (registrar, report)
    }

    /// Keeps the service registered until `stop` fires, then takes it away.
    pub async fn run(self, stop: Stop) {
        let mut lease = None;
        self.until(self.keep(&mut lease), stop.wait()).await;
        self.take_away(&mut lease).await;
    }

    /// Does `work` until `end`. What is cut off then is safe to do again, or to undo, but for
    /// a registration: until it is answered nobody knows by which id to take it away.
    async fn until(&self, work: impl Future<Output = ()>, end: impl Future<Output = ()>) {
        let mut work = pin!(work);
        tokio::select! {
            () = &mut work => return,
            () = end => {}
        }
        let mut asked = self.asked.subscribe();
        let settled = async {
            tokio::select! {
                () = &mut work => {}
                _ = asked.wait_for(|asked| !asked) => {}
            }
        };
        // In vain: it expires.
        let _ = tokio::time::timeout(SETTLE, settled).await;
        self.asked.send_replace(false);
    }

    async fn take_away(&self, lease: &mut Option<Lease>) {
        let Some(Lease { id, .. }) = lease.take() else {
            return;
        };
        match tokio::time::timeout(FAREWELL, self.registry.deregister(&id)).await {
            Ok(Ok(())) => info!(%id, "deregistered"),
            Ok(Err(e)) => warn!(%id, error = %e, "not deregistered; it will expire"),
            Err(_) => warn!(%id, "not deregistered in time; it will expire"),
        }
        self.standing.send_modify(|s| s.id = None);
    }

    /// Has it registered while it is up.
    async fn keep(&self, lease: &mut Option<Lease>) {
        // Where nobody is left to say so, it is as good as known.
        let _ = self.identified.clone().wait_for(|known| *known).await;
        let mut health = self.health.clone();
        loop {
            self.becomes(&mut health, true).await;
            let down = self.becomes(&mut health, false);
            self.until(self.stay(lease), down).await;
            self.take_away(lease).await;
        }
    }

    /// Until the service is up, or not. Where nobody checks any more it stays as it is.
    async fn becomes(&self, health: &mut watch::Receiver<Report>, up: bool) {
        if health.wait_for(|report| report.up == up).await.is_err() && health.borrow().up != up {
            std::future::pending::<()>().await;
        }
    }

    async fn stay(&self, lease: &mut Option<Lease>) {
        let mut pause = FIRST_PAUSE;
        let mut itself = self.itself.clone();
        loop {
            itself.mark_unchanged();
            match self.register(lease).await {
                Ok(granted) => {
                    pause = FIRST_PAUSE;
                    tokio::select! {
                        () = self.renew(&granted) => {}
                        () = another(&mut itself) => {}
                    }
                }
                Err(e) => {
                    let after = match &e {
                        RegisterError::Registry(e) => e.retry_after(),
                        RegisterError::Place(_) => None,
                    };
                    self.trouble(&e.to_string());
                    tokio::select! {
                        () = sleep(jittered(pause).max(after.unwrap_or_default())) => {}
                        () = another(&mut itself) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn register(&self, lease: &mut Option<Lease>) -> Result<Lease, RegisterError> {
        let itself = self.itself.borrow().clone();
        let me = Announcement {
            endpoint: endpoint(&itself, &self.registries).await?,
            service_name: itself.service.ok_or(PlaceError::Service)?,
            ttl: None,
            status: Status::Up,
            tags: itself.tags.unwrap_or_default(),
            metadata: itself.protocol.map(HttpVersion::metadata),
        };
        self.asked.send_replace(true);
        let granted = self.registry.register(&me).await;
        self.asked.send_replace(false);
        let granted = granted?;
        info!(id = %granted.id, service = %me.service_name, endpoint = me.endpoint.value(), "registered");
        let before = lease.replace(granted.clone());
        if let Some(Lease { id, .. }) = before.filter(|before| before.id != granted.id) {
            // Another service or address than before. What cannot be taken away expires.
            if let Err(e) = self.registry.deregister(&id).await {
                warn!(%id, error = %e, "the former registration is not taken away");
            }
        }
        self.standing.send_replace(Standing {
            id: Some(granted.id.clone()),
            endpoint: Some(me.endpoint),
            problem: None,
        });
        Ok(granted)
    }

    /// Renews until the registry no longer knows the instance, or its address has changed.
    async fn renew(&self, lease: &Lease) {
        let every = lease.ttl / 3;
        let mut pause = FIRST_PAUSE;
        let mut failing_since = None;
        sleep(jittered(every)).await;
        loop {
            match self.registry.renew(&lease.id).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    failing_since = None;
                    self.standing
                        .send_if_modified(|s| s.problem.take().is_some());
                    sleep(jittered(every)).await;
                    if self.has_moved().await {
                        return;
                    }
                }
                Err(Error::Unknown(_)) => {
                    info!(id = %lease.id, "the registry has forgotten this instance");
                    return;
                }
                Err(e) => {
                    self.trouble(&e.to_string());
                    // A registry that has been away for longer than the lease has lost it,
                    // and may have lost more: asking for a new one tells it all again.
                    let since = *failing_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > lease.ttl {
                        return;
                    }
                    sleep(jittered(pause.min(every))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Whether the own address is another than the registered one. While it is not known
    /// nothing has moved.
    async fn has_moved(&self) -> bool {
        let itself = self.itself.borrow().clone();
        let Ok(now) = endpoint(&itself, &self.registries).await else {
            return false;
        };
        let registered = self.standing.borrow().endpoint.clone();
        let moved = registered.is_some_and(|registered| registered != now);
        if moved {
            info!(endpoint = now.value(), "the own address has changed");
        }
        moved
    }

    /// Says once what is wrong.
    fn trouble(&self, problem: &str) {
        let new = self.standing.send_if_modified(|s| {
            let new = s.problem.as_deref() != Some(problem);
            s.problem = Some(problem.to_owned());
            new
        });
        if new {
            warn!(problem, "the registration is in trouble");
        }
    }
}

#[cfg(test)]
mod tests;
