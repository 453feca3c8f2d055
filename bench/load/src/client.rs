//! One connection to the proxy, in whichever protocol.

mod h1;
mod h2;
mod tcp;

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::net::TcpStream;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/2 with prior knowledge
    H2,
    /// One message each way over HTTP/2, with trailers
    Grpc,
    /// Bytes there, as many bytes back
    Tcp,
}

/// What each request is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) protocol: Protocol,
    pub(crate) target: SocketAddr,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) upload: Bytes,
}

/// A whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As wanted.
    Good,
    /// With this status instead.
    Refused(u16),
}

/// Why there was no whole answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the connection ended before the answer did")]
    Ended,
    #[error("not an answer in HTTP/1.1: {0}")]
    Head(String),
    #[error("HTTP/2: {0}")]
    Http2(#[from] hyper::Error),
    #[error("no answer by the end of the run")]
    Unfinished,
}

/// A connection that is open.
pub(crate) enum Connection {
    H1(h1::Client),
    H2(h2::Client),
    Tcp(tcp::Client),
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(request: &Request) -> Result<Self, Error> {
        let stream = TcpStream::connect(request.target).await;
        let stream = stream.map_err(Error::Connect)?;
        stream.set_nodelay(true)?;
        Ok(match request.protocol {
            Protocol::H1 => Self::H1(h1::Client::new(stream, request)),
            Protocol::H2 => Self::H2(h2::Client::new(stream, request, false).await?),
            Protocol::Grpc => Self::H2(h2::Client::new(stream, request, true).await?),
            Protocol::Tcp => Self::Tcp(tcp::Client::new(stream, request)),
        })
    }

    /// Another handle on the same connection, for a request beside those under way; only HTTP/2
    /// has such.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::H2(client) => Some(Self::H2(client.clone())),
            Self::H1(_) | Self::Tcp(_) => None,
        }
    }

    /// Makes one request.
    pub(crate) async fn call(&mut self) -> Result<Answer, Error> {
        match self {
            Self::H1(client) => client.call().await,
            Self::H2(client) => client.call().await,
            Self::Tcp(client) => client.call().await,
        }
    }

    /// Whether it takes another request.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::H1(client) => client.is_open(),
            Self::H2(client) => client.is_open(),
            Self::Tcp(_) => true,
        }
    }
}
