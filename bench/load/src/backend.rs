//! The other side of the proxy: answers of a wanted size, in HTTP/1.1 and in HTTP/2 with prior
//! knowledge on one port, and an echo of bytes on another.
//!
//! | request | answer |
//! |---|---|
//! | `/bytes/N` | N bytes; what was sent is read first |
//! | `/echo` | what was sent, while it comes |
//! | of type `application/grpc`, `/bytes/N` | one message of N bytes, and `grpc-status: 0` |

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// The largest body that is answered.
const MAX_BYTES: usize = 16 << 20;

/// Connections that may wait to be accepted, if the system allows as many.
const QUEUE: u32 = 4096;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Where the backend listens; port 0 takes any that is free.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Ports {
    /// Address of both ports; 0.0.0.0 makes it as many instances as loopback has addresses
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    pub host: Ipv4Addr,
    /// Port of HTTP/1.1 and HTTP/2
    #[arg(long, default_value_t = 0)]
    pub http: u16,
    /// Port of the echo
    #[arg(long, default_value_t = 0)]
    pub tcp: u16,
}

/// Serves until the process ends.
///
/// # Errors
/// A port that cannot be bound.
pub async fn serve(ports: Ports) -> io::Result<()> {
    let http = bind(ports.host, ports.http)?;
    let tcp = bind(ports.host, ports.tcp)?;
    accept(http, tcp).await;
    Ok(())
}

/// With a queue that holds whatever a proxy opens at once.
fn bind(host: Ipv4Addr, port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((host, port).into())?;
    socket.listen(QUEUE)
}

/// Serves on listeners that are bound already, for ever.
pub async fn accept(http: TcpListener, tcp: TcpListener) {
    let source = Bytes::from(vec![b'x'; MAX_BYTES]);
    let mut server = auto::Builder::new(TokioExecutor::new());
    // A window that never makes the proxy wait for the backend.
    server
        .http2()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(None);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = http.accept() => {
                let (server, source) = (server.clone(), source.clone());
                open.spawn(async move {
                    let _ = stream.set_nodelay(true);
                    let answer = service_fn(|request| reply(request, source.clone()));
                    // How a connection ends is for its other side to tell.
                    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
            Ok((stream, _)) = tcp.accept() => {
                open.spawn(async move { let _ = echo(stream).await; });
            }
            Some(_) = open.join_next() => {}
        }
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n]).await?,
        }
    }
}

async fn reply(request: Request<Incoming>, source: Bytes) -> Result<Response<Body>, Infallible> {
    let (head, mut sent) = request.into_parts();
    if head.uri.path() == "/echo" {
        return Ok(Response::new(sent.boxed_unsync()));
    }
    let size = head.uri.path().strip_prefix("/bytes/");
    let size = size.and_then(|size| size.parse::<usize>().ok());
    let Some(size) = size.filter(|size| *size <= MAX_BYTES) else {
        return Ok(status(StatusCode::NOT_FOUND));
    };
    while let Some(frame) = sent.frame().await {
        if frame.is_err() {
            return Ok(status(StatusCode::BAD_REQUEST));
        }
    }
    let bytes = source.slice(..size);
    let kind = head.headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return Ok(grpc(&bytes));
    }
    Ok(Response::new(full(bytes)))
}

fn grpc(bytes: &Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let ended = async move { Some(Ok(trailers)) };
    let body = full(message(bytes)).with_trailers(ended);
    let mut response = Response::new(body.boxed_unsync());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A message of gRPC: not compressed, its length, its bytes.
pub(crate) fn message(bytes: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + bytes.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(bytes);
    framed.freeze()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|e| match e {}).boxed_unsync()
}

fn status(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = code;
    response
}
