//! New connections to instances.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::{TlsConnector, TlsStream};
use tracing::debug;

use super::body::Outbound;
use super::gate::Charge;
use super::gather::{Gathered, OnTurns};
use super::http2 as bounds;
use super::pool::{Account, Lease, Shared, Single};
use super::tls::{self, Offer};
use super::transport::Transport;
use super::upstream::{Open, Upstream, Want};
use super::worker::Worker;

/// How long an instance may take to accept a connection. Shorter than the time limit of a
/// request, so that a dead address is told from a slow answer.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// Refused, unreachable, reset, or not trusted.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer.
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// The connection ended before it was used.
    #[error("{0}")]
    Handshake(#[from] hyper::Error),
}

/// Opens a connection for one exchange of the backend that `charge` counts it for; its driver
/// runs as a task of `worker`. One that turns out to carry more than one is kept for others,
/// too.
pub(super) async fn open(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    want: Want,
    charge: Charge,
) -> Result<Lease, ConnectError> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    let (stream, address) = dial(upstream, deadline).await?;
    let begun = timeout_at(deadline, begin(worker, upstream, stream, want)).await;
    let (stream, http2) = begun.map_err(|_| ConnectError::TimedOut)??;
    let open = Open::new(upstream.clone());
    if http2 {
        speak_http2(worker, upstream, stream, address, (open, charge)).await
    } else {
        speak_http1(worker, upstream, stream, address, (open, charge)).await
    }
}

/// What is spoken over `stream`: TLS or not, and whether HTTP/2 in it.
async fn begin(
    worker: &Worker,
    upstream: &Upstream,
    stream: TcpStream,
    want: Want,
) -> io::Result<(Transport, bool)> {
    let Some(name) = &upstream.tls else {
        return Ok((Transport::Plain(stream), want == Want::Two));
    };
    let offer = match want {
        Want::One => Offer::One,
        Want::Two if upstream.is_declared() => Offer::Two,
        Want::Two | Want::Either => Offer::Both,
    };
    let config = worker.shared.tls_client.config(offer).await;
    let stream = TlsConnector::from(config)
        .connect(name.clone(), stream)
        .await?;
    let http2 = tls::is_http2(stream.get_ref().1.alpn_protocol());
    if offer == Offer::Both {
        upstream.agreed_on(http2);
    }
    Ok((Transport::Tls(Box::new(TlsStream::Client(stream))), http2))
}

async fn speak_http1(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    stream: Transport,
    address: SocketAddr,
    (open, charge): (Open, Charge),
) -> Result<Lease, ConnectError> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_BUFFER)
        .handshake::<_, Outbound>(TokioIo::new(stream))
        .await?;
    let label = upstream.clone();
    let (account, using) = Account::open(charge);
    let counted = (open, account);
    let driver = worker.drive(async move {
        let _counted = counted;
        if let Err(e) = connection.with_upgrades().await {
            debug!(upstream = %label.label, error = %e, "connection ended");
        }
    });
    let pool = worker.pool.clone();
    let sender = Single::new(sender, driver);
    Ok(Lease::one(sender, using, upstream.clone(), address, pool))
}

async fn speak_http2(
    worker: &Rc<Worker>,
    upstream: &Arc<Upstream>,
    stream: Transport,
    address: SocketAddr,
    (open, charge): (Open, Charge),
) -> Result<Lease, ConnectError> {
    let stream = Gathered::new(TokioIo::new(stream));
    let on_turns = OnTurns {
        worker: worker.clone(),
        stream: stream.clone(),
    };
    let (sender, mut connection) = http2::Builder::new(on_turns)
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds::PING_EVERY)
        .keep_alive_timeout(bounds::PING_TIMEOUT)
        .max_header_list_size(MAX_BUFFER as u32)
        .initial_stream_window_size(bounds::INSTANCE_WINDOW)
        .initial_connection_window_size(bounds::INSTANCE_WINDOW * bounds::MAX_STREAMS)
        .max_send_buf_size(bounds::SEND_BUFFER)
        .handshake::<_, Outbound>(stream)
        .await?;
    let (account, using) = Account::open(charge);
    let shared = Shared::new(sender, &account, upstream, address, &worker.pool);
    let counted = (open, account);
    let (label, limits) = (upstream.clone(), Rc::downgrade(&shared));
    worker.drive(async move {
        let _counted = counted;
        let ended = std::future::poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            if let Some(shared) = limits.upgrade() {
                shared.allow(connection.current_max_send_streams());
            }
            polled
        });
        if let Err(e) = ended.await {
            debug!(upstream = %label.label, error = %e, "connection ended");
        }
    });
    Ok(worker.pool.share(shared, using))
}

/// Opens a socket to `upstream`, beginning with the address whose turn it is and going on to
/// the others, all before `deadline`.
pub(super) async fn dial(
    upstream: &Upstream,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), ConnectError> {
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
