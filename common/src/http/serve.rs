//! The listener: accepts connections within bounds, and drains them when it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use super::patience::{Patient, Turns};
use super::{Hands, Limits};
use crate::manager;
use crate::task::Stop;

/// How long accepting rests after it failed, as it does when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address at the other end of the connection that a request came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("{address} is in use by another process")]
    InUse {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}")]
    Other {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Opens a listener, or takes the one that the service manager has opened.
///
/// # Errors
/// [`ListenError`], which tells a port in use from other failures.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let bound = match manager::tcp(address) {
        Some(given) => TcpListener::from_std(given),
        None => TcpListener::bind(address).await,
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Other { address, source },
    })
}

/// Serves `router` on `listener` until `stop` fires, then gives what is in flight up to
/// `grace` to end. Connections still open after that are cut.
///
/// Streams are in flight as long as they last: a handler that makes one ends it when the
/// server's stop signal fires.
///
/// Connections are dealt out to `hands`; without them they share the caller's runtime.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    stop: Stop,
    grace: Duration,
    mut hands: Option<Hands>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(limits.head.max(MIN_HEAD));
    let free = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut open = JoinSet::new();
    if let Ok(address) = listener.local_addr() {
        info!(%address, "listening");
    }
    loop {
        tokio::select! {
            () = stop.wait() => break,
            Some(_) = open.join_next() => {}
            (stream, peer, permit) = accept(&listener, &free) => {
                let conversation = Conversation {
                    http: http.clone(),
                    router: router.clone(),
                    limits: limits.clone(),
                    stop: stop.clone(),
                    graceful: graceful.watcher(),
                };
                let connection = async move {
                    if let Err(e) = conversation.run(stream, peer).await {
                        debug!(%peer, error = %e, "connection ended");
                    }
                    drop(permit);
                };
                match &mut hands {
                    Some(hands) => open.spawn_on(connection, hands.next()),
                    None => open.spawn(connection),
                };
            }
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(grace, graceful.shutdown()).await;
    if drained.is_err() {
        warn!(
            ?grace,
            "connections still open after the grace period are cut"
        );
    }
    open.shutdown().await;
}

/// Everything on one connection, from its first request to its end.
struct Conversation {
    http: http1::Builder,
    router: Router,
    limits: Limits,
    stop: Stop,
    graceful: Watcher,
}

impl Conversation {
    /// Runs on the runtime that is to have the connection.
    async fn run(self, stream: std::net::TcpStream, peer: SocketAddr) -> Result<(), Ended> {
        let turns = Turns::default();
        let stream = TcpStream::from_std(stream)?;
        let stream = Patient::new(stream, turns.clone(), &self.limits, self.stop);
        let router = self.router;
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            let turn = turns.begin();
            request.extensions_mut().insert(Peer(peer));
            let answer = router.clone().oneshot(request);
            async move { answer.await.map(|answer| turn.until_sent(answer)) }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        Ok(self.graceful.watch(connection).await?)
    }
}

/// How a connection ended before its time.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// hyper refuses a smaller buffer.
const MIN_HEAD: usize = 8192;

/// The next connection, once there is room for one. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> (
    std::net::TcpStream,
    SocketAddr,
    Option<OwnedSemaphorePermit>,
) {
    // The semaphore is never closed, so there always is a permit.
    let permit = free.clone().acquire_owned().await.ok();
    loop {
        let accepted = listener.accept().await;
        // It is taken out of this runtime, which need not be the one that will have it.
        match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
            Ok((stream, peer)) => {
                // Answers are small and complete: waiting to fill a packet only delays them.
                if let Err(e) = stream.set_nodelay(true) {
                    debug!(%peer, error = %e, "cannot turn Nagle's algorithm off");
                }
                return (stream, peer, permit);
            }
            Err(e) => {
                warn!(error = %e, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
