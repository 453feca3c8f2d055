//! The listener and its connections, which can all be cut at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// A listener while it listens.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Listening {
    /// Binds. A port that was just let go may take a moment.
    pub(super) async fn start(
        wanted: SocketAddr,
        api: &Arc<Api>,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(wanted).await {
                Ok(listener) => break listener,
                Err(e) if tries == 100 => panic!("cannot listen on {wanted}: {e}"),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        let tls = tls.map(TlsAcceptor::from);
        task.spawn(accept(listener, api.clone(), tls, stop.clone()));
        Self {
            address,
            stop,
            task,
        }
    }

    /// Ends, with all connections, however busy they are.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        while self.task.join_next().await.is_some() {}
    }
}

async fn accept(
    listener: TcpListener,
    api: Arc<Api>,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = accepted {
            connections.spawn(connection(stream, api.clone(), tls.clone()));
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, api: Arc<Api>, tls: Option<TlsAcceptor>) {
    // Small answers are not to wait for more of them.
    let _ = stream.set_nodelay(true);
    api.faults.unstalled().await;
    match tls {
        None => serve(stream, api).await,
        Some(tls) => {
            // Whoever cannot agree with us on TLS has nothing to ask.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, api).await;
            }
        }
    }
}

async fn serve<S>(stream: S, api: Arc<Api>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| api.clone().answer(request));
    let builder = Builder::new(TokioExecutor::new());
    // A connection that breaks is the client's business.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
