//! One conversation with a caller: which protocol it speaks, and its connection's end.

mod stalls;
mod watched;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tracing::debug;

use super::connections::Connection;
use super::gather::Gathered;
use super::headers::Caller;
use super::metrics::Gauge;
use super::serve::Serve;
use super::transport::Transport;
use super::worker::Worker;
use super::{http2 as bounds, tls};
use stalls::Exchanges;
pub(super) use watched::Watched;

/// Bounds the head of a request, and what is read ahead of a slow instance.
const MAX_BUFFER: usize = 64 * 1024;
/// What a connection in HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Speaks with one caller until either side has had enough.
pub(super) async fn converse(
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let metrics = worker.shared.metrics.clone();
    let _open = Counted::new(&metrics.callers);
    // What is over soon or is rare is kept out of the state that every connection has.
    let ended = match Box::pin(open(&worker, &connection, stream)).await {
        Ok(Some((stream, http2))) => {
            let serve = Rc::new(Serve {
                caller: Caller::new(peer.ip(), worker.shared.tls_server.is_some()),
                connection: connection.clone(),
                worker,
            });
            if http2 {
                Box::pin(speak_http2(serve, &connection, stream)).await
            } else {
                speak_http1(serve, &connection, stream).await
            }
        }
        Ok(None) => return,
        Err(e) => {
            debug!(%peer, error = %e, "a caller's connection could not be opened");
            return;
        }
    };
    if let Err(e) = ended {
        if e.is_parse() {
            // HTTP's parser has answered by itself, with 400 or 431.
            metrics.unreadable();
        }
        debug!(%peer, error = %e, "a caller's connection ended");
    }
}

/// Finds out what the caller speaks; true is HTTP/2. `None`: it said nothing for too long.
async fn open(
    worker: &Rc<Worker>,
    connection: &Rc<Connection>,
    mut stream: TcpStream,
) -> io::Result<Option<(Watched, bool)>> {
    let begin = async {
        if let Some(config) = &worker.shared.tls_server {
            let stream = TlsAcceptor::from(config.load_full()).accept(stream).await?;
            let http2 = tls::is_http2(stream.get_ref().1.alpn_protocol());
            let stream = Transport::Tls(Box::new(TlsStream::Server(stream)));
            return Ok((
                Watched::new(stream, Bytes::new(), worker, connection),
                http2,
            ));
        }
        let mut seen = [0; PREFACE.len()];
        let mut len = 0;
        loop {
            let read = stream.read(&mut seen[len..]).await?;
            connection.read();
            len += read;
            if read == 0 || seen[..len] != PREFACE[..len] || len == PREFACE.len() {
                break;
            }
        }
        let http2 = seen == *PREFACE;
        let seen = Bytes::copy_from_slice(&seen[..len]);
        let stream = Transport::Plain(stream);
        Ok((Watched::new(stream, seen, worker, connection), http2))
    };
    let tls = worker.shared.tls_server.is_some();
    if tls {
        // The handshake may take as long as a head.
        connection.read();
    }
    let begun = guard(connection, begin, |_| false).await;
    if tls {
        connection.opened();
    }
    begun.transpose()
}

async fn speak_http1(
    serve: Rc<Serve>,
    connection: &Rc<Connection>,
    stream: Watched,
) -> hyper::Result<()> {
    let conversation = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(MAX_BUFFER)
        .max_header_size(MAX_BUFFER)
        .serve_connection(
            stream,
            service_fn(|request| serve.clone().call_http1(request)),
        )
        .with_upgrades();
    let ended = guard(connection, conversation, |conversation| {
        conversation.graceful_shutdown();
        true
    });
    ended.await.unwrap_or(Ok(()))
}

async fn speak_http2(
    serve: Rc<Serve>,
    connection: &Rc<Connection>,
    stream: Watched,
) -> hyper::Result<()> {
    connection.multiplex();
    let exchanges = Exchanges(serve.worker.clone());
    let stream = Gathered::new(stream);
    let conversation = http2::Builder::new(exchanges)
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds::PING_EVERY)
        .keep_alive_timeout(bounds::PING_TIMEOUT)
        .max_concurrent_streams(bounds::MAX_STREAMS)
        .max_header_list_size(MAX_BUFFER as u32)
        .initial_stream_window_size(bounds::CALLER_WINDOW)
        .initial_connection_window_size(bounds::CALLER_WINDOW * bounds::MAX_STREAMS)
        .max_send_buf_size(bounds::SEND_BUFFER)
        // In a box, as what is to become a task of its own is moved several times.
        .serve_connection(
            stream.clone(),
            service_fn(|request| Box::pin(serve.clone().call(request))),
        );
    let ended = guard(connection, conversation, |conversation| {
        conversation.graceful_shutdown();
        true
    });
    stream.turns(ended).await.unwrap_or(Ok(()))
}

/// Drives `work` to its end, or until the connection has waited for too long: then `None`.
/// When no further request is to be served, `close` is told once and says whether to go on.
async fn guard<F: Future>(
    connection: &Connection,
    work: F,
    mut close: impl FnMut(Pin<&mut F>) -> bool,
) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut known = false;
    let mut told = false;
    poll_fn(|cx| {
        if !known {
            // A task's waker stays the same; one look at it is enough.
            connection.on_wake(cx.waker());
            known = true;
        }
        if connection.expired() {
            return Poll::Ready(None);
        }
        if !told && connection.closing() {
            if !close(work.as_mut()) {
                return Poll::Ready(None);
            }
            told = true;
        }
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Counts for as long as it lives.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.add(1);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}
