//! Upstreams: a well-behaved one, and one that does exactly as it is told byte by byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A small HTTP/1.1 server that answers with what it was asked.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    /// Connections accepted so far.
    pub(crate) connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Origin {
    /// Answers every request with `name`, the request line, all fields and the body's length.
    pub(crate) async fn echo(name: &'static str) -> Self {
        Self::new(move |request| async move {
            let (head, body) = request.into_parts();
            let length = body.collect().await.map_or(0, |b| b.to_bytes().len());
            let mut text = format!("{name}\n{} {}\n", head.method, head.uri);
            for (field, value) in &head.headers {
                text += &format!("{field}: {}\n", value.to_str().unwrap_or("?"));
            }
            text += &format!("body: {length}\n");
            Response::new(Full::from(text))
        })
        .await
    }

    /// Answers as `handler` does.
    pub(crate) async fn new<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::serve(handler, false).await
    }

    /// Answers as `handler` does, in HTTP/2 only.
    pub(crate) async fn http2<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::serve(handler, true).await
    }

    async fn serve<F, R>(handler: F, http2: bool) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let handler = handler.clone();
                open.spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = handler(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let stream = TokioIo::new(stream);
                    let _ = if http2 {
                        http2::Builder::new(TokioExecutor::new())
                            .serve_connection(stream, service)
                            .await
                    } else {
                        http1::Builder::new()
                            // A caller that has said all may still listen.
                            .half_close(true)
                            .serve_connection(stream, service)
                            .await
                    };
                });
            }
        });
        Self {
            address,
            connections,
            _task: task,
        }
    }

    pub(crate) fn value(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A server whose every connection is a script. The script is given the number of the
/// connection, from 0.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn new<F, R>(script: F) -> Self
    where
        F: Fn(TcpStream, usize) -> R + Clone + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                open.spawn(script(stream, number));
            }
        });
        Self {
            address,
            connections,
            _task: task,
        }
    }

    pub(crate) fn value(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
