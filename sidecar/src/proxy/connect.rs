//! New connections to instances.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use super::body::Outbound;
use super::pool::Lease;
use super::upstream::{Open, Upstream};
use super::worker::Worker;

/// How long an instance may take to accept a connection. Shorter than the time limit of a
/// request, so that a dead address is told from a slow answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bounds the head of a response, and what is read ahead of a slow caller.
const MAX_BUFFER: usize = 64 * 1024;
/// Of the time that is left an address gets no less than this part, however many follow.
const SHARES: usize = 4;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The instance's name has no address, or none is known yet.
    #[error("{label} cannot be resolved: {reason}")]
    Unresolved {
        /// `host:port`
        label: Box<str>,
        /// Why not.
        reason: Arc<str>,
    },
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
    let (stream, address) = dial(upstream).await?;
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
    Ok(Lease::new(
        sender,
        upstream.clone(),
        address,
        worker.pool.clone(),
    ))
}

/// Opens a socket to `upstream`, beginning with the address whose turn it is and going on to
/// the others, all within the connect timeout.
pub(super) async fn dial(upstream: &Upstream) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let unresolved = |reason: Arc<str>| ConnectError::Unresolved {
        label: upstream.label.clone(),
        reason,
    };
    let known = timeout_at(deadline, upstream.addresses.first())
        .await
        .map_err(|_| unresolved("there is no answer yet".into()))?;
    let begin = upstream.addresses.turn();
    let mut failed = None;
    for step in 0..known.list.len() {
        let address = known.list[begin.wrapping_add(step) % known.list.len()];
        // One that does not answer must leave time for those that follow.
        let left = (known.list.len() - step).min(SHARES) as u32;
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        let why = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small writes are whole messages: waiting to merge them only adds delay.
                stream.set_nodelay(true)?;
                return Ok((stream, address));
            }
            Ok(Err(e)) => e.into(),
            Err(_) => ConnectError::TimedOut,
        };
        debug!(upstream = %upstream.label, %address, error = %why, "cannot connect");
        upstream.addresses.doubt();
        failed = Some(why);
    }
    Err(failed.unwrap_or_else(|| unresolved(known.error.clone().unwrap_or_default())))
}
