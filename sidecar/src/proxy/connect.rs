//! New connections to instances.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::debug;

use super::body::Outbound;
use super::pool::Lease;
use super::upstream::{Open, Target, Upstream};
use super::worker::Worker;

/// How long an instance may take to accept a connection. Shorter than the time limit of a
/// request, so that a dead address is told from a slow answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bounds the head of a response, and what is read ahead of a slow caller.
const MAX_BUFFER: usize = 64 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Refused, unreachable, reset.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer.
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// The connection ended before it was used.
    #[error("{0}")]
    Handshake(#[from] hyper::Error),
}

/// Connects to `upstream`; the connection's driver runs as a task of `worker`.
pub(super) async fn connect(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
) -> Result<Lease, ConnectError> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial(&upstream.target))
        .await
        .map_err(|_| ConnectError::TimedOut)??;
    // Small writes are whole messages here: waiting to merge them only adds delay.
    stream.set_nodelay(true)?;
    let open = Open::new(upstream.clone());
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_BUFFER)
        .handshake::<_, Outbound>(TokioIo::new(stream))
        .await?;
    let label = upstream.clone();
    worker.drive(async move {
        let _open = open;
        if let Err(e) = connection.await {
            debug!(upstream = %label.label, error = %e, "connection ended");
        }
    });
    Ok(Lease::new(sender, upstream.clone(), worker.pool.clone()))
}

async fn dial(target: &Target) -> io::Result<TcpStream> {
    match target {
        Target::Address(address) => TcpStream::connect(address).await,
        Target::Name(host, port) => TcpStream::connect((&**host, *port)).await,
    }
}
