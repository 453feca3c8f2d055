//! An instance of a service in the test's own process. It says in every answer who it is,
//! leaves in good order, or vanishes as a killed process does.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ports;

/// The field by which an answer tells who gave it, as `service/version`.
pub const SERVED_BY: &str = "served-by";
/// The pause between two pieces of a body that comes in pieces.
const PIECE: Duration = Duration::from_millis(20);

type Body = BoxBody<Bytes, hyper::Error>;

/// What an instance speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1.
    One,
    /// HTTP/2 with prior knowledge.
    Two,
    /// It says its version in one line and then sends back what it gets.
    Bytes,
}

/// A running instance, which vanishes when dropped.
pub struct Instance {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    /// What it speaks.
    pub speaks: Speaks,
    life: Life,
}

/// What all tasks of an instance have in common.
#[derive(Clone)]
struct Life {
    name: Arc<str>,
    version: Arc<str>,
    stop: CancellationToken,
    kill: CancellationToken,
    tasks: TaskTracker,
    begun: Arc<AtomicU64>,
}

impl Instance {
    /// Starts an instance of `version` of `service`.
    ///
    /// Its port has not been used in this process before, so that what is meant for one that
    /// vanished reaches nobody else.
    pub async fn start(speaks: Speaks, service: &str, version: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let listener = TcpListener::bind(address).await.unwrap();
        let life = Life {
            name: format!("{service}/{version}").into(),
            version: version.into(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            tasks: TaskTracker::new(),
            begun: Arc::default(),
        };
        life.execute(accept(listener, speaks, life.clone()));
        Self {
            address,
            speaks,
            life,
        }
    }

    /// Takes it away as `kill -9` does a process: nobody listens any more, and all its
    /// connections break.
    pub fn kill(&self) {
        self.life.kill.cancel();
    }

    /// Waits until no request has come for a while, as one that is about to leave does.
    pub async fn quiet(&self) {
        let mut last = u64::MAX;
        loop {
            let now = self.life.begun.load(Ordering::Relaxed);
            if now == last {
                return;
            }
            last = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops accepting, finishes what is in flight, and ends.
    pub async fn stop(self) {
        self.life.stop.cancel();
        self.life.tasks.close();
        self.life.tasks.wait().await;
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

impl<F> Executor<F> for Life
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let kill = self.kill.clone();
        // The kit's own kind of task: it ends with its instance.
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = kill.cancelled() => {}
                _ = task => {}
            }
        });
    }
}

async fn accept(listener: TcpListener, speaks: Speaks, life: Life) {
    loop {
        let stream = tokio::select! {
            () = life.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Too many open files are no reason to leave.
        let Ok((stream, _)) = stream else { continue };
        match speaks {
            Speaks::One => life.execute(serve_one(stream, life.clone())),
            Speaks::Two => life.execute(serve_two(stream, life.clone())),
            Speaks::Bytes => life.execute(echo(stream, life.clone())),
        }
    }
}

async fn serve_one(stream: TcpStream, life: Life) {
    let service = service_fn(|request| answer(life.clone(), request));
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // How a connection ends is for the callers to tell.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = life.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn serve_two(stream: TcpStream, life: Life) {
    let service = service_fn(|request| answer(life.clone(), request));
    let connection =
        http2::Builder::new(life.clone()).serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = life.stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn echo(mut stream: TcpStream, life: Life) {
    life.begun.fetch_add(1, Ordering::Relaxed);
    let hello = format!("{}\n", life.version);
    if stream.write_all(hello.as_bytes()).await.is_ok() {
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    }
}

async fn answer(life: Life, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    life.begun.fetch_add(1, Ordering::Relaxed);
    let by = HeaderValue::from_str(&life.name).unwrap();
    let mut response = match request.headers() {
        fields if fields.contains_key(UPGRADE) => upgrade(request, &life),
        fields
            if fields
                .get(CONTENT_TYPE)
                .is_some_and(|t| t == "application/grpc") =>
        {
            call(request)
        }
        _ if request.method() == Method::POST => {
            let whole = request.into_body().collect().await?;
            Response::new(full(whole.to_bytes()))
        }
        _ => match request.uri().path().strip_prefix("/pieces/") {
            Some(count) => Response::new(pieces(count.parse().unwrap_or(1))),
            None => Response::new(full(Bytes::from(life.name.as_bytes().to_vec()))),
        },
    };
    response.headers_mut().insert(SERVED_BY, by);
    Ok(response)
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(no_error).boxed()
}

fn no_error(error: Infallible) -> hyper::Error {
    match error {}
}

/// `count` pieces, one after the other.
fn pieces(count: usize) -> Body {
    let pieces = stream::unfold(0, move |at| async move {
        tokio::time::sleep(PIECE).await;
        let piece = Frame::data(Bytes::from_static(&[b'x'; 1024]));
        (at < count).then_some((Ok(piece), at + 1))
    });
    BodyExt::boxed(StreamBody::new(pieces))
}

/// What gRPC's calls are to a proxy: bodies both ways at a time, and trailers.
fn call(request: Request<Incoming>) -> Response<Body> {
    let trailers = async {
        let mut fields = HeaderMap::new();
        fields.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(fields))
    };
    let mut response = Response::new(request.into_body().with_trailers(trailers).boxed());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Switches to sending back what comes.
fn upgrade(mut request: Request<Incoming>, life: &Life) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    life.execute(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut stream = TokioIo::new(upgraded);
        let (mut read, mut write) = tokio::io::split(&mut stream);
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let fields = response.headers_mut();
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("echo"));
    response
}
