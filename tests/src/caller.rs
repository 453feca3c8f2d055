//! A caller in the test's own process: one connection, in either version of HTTP, opened
//! again when it has ended.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::instance::SERVED_BY;
use crate::wait::PATIENCE;

/// The caller.
pub struct Caller {
    to: SocketAddr,
    version: Version,
    open: Option<Open>,
}

struct Open {
    sender: Sender,
    // Drives the connection, and ends it when dropped.
    _connection: JoinSet<()>,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What followed the body.
    pub trailers: HeaderMap,
}

impl Answer {
    /// The service and the version that answered, if an instance did.
    pub fn served_by(&self) -> Option<(&str, &str)> {
        self.fields.get(SERVED_BY)?.to_str().ok()?.split_once('/')
    }
}

/// A GET of `path`.
pub fn get(path: &str) -> Request<Full<Bytes>> {
    request(Method::GET, path, Bytes::new())
}

/// A request of `path` with a body.
pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    request
}

impl Caller {
    /// One that will speak HTTP/1.1 with `to`.
    pub fn one(to: SocketAddr) -> Self {
        Self::new(to, Version::HTTP_11)
    }

    /// One that will speak HTTP/2 with prior knowledge.
    pub fn two(to: SocketAddr) -> Self {
        Self::new(to, Version::HTTP_2)
    }

    fn new(to: SocketAddr, version: Version) -> Self {
        Self {
            to,
            version,
            open: None,
        }
    }

    /// Sends a request and reads the answer to its end.
    ///
    /// # Errors
    /// What went wrong on the way, or that nothing has for far too long.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        self.begin(request).await?.await
    }

    /// Sends a request; the answer is that of the future, which may be dropped to break off.
    ///
    /// # Errors
    /// There is no connection.
    pub async fn begin(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<BoxFuture<'static, Result<Answer, String>>, String> {
        let authority = self.to;
        let sender = self.ready().await?;
        let head: BoxFuture<'static, _> = match sender {
            Sender::One(sender) => {
                let host = authority.to_string().parse().unwrap();
                request.headers_mut().insert("host", host);
                Box::pin(sender.send_request(request))
            }
            Sender::Two(sender) => {
                let uri = format!("http://{authority}{}", request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                Box::pin(sender.send_request(request))
            }
        };
        Ok(Box::pin(async move {
            let answer = async {
                let response = head.await.map_err(|e| format!("no answer: {e:?}"))?;
                whole(response).await
            };
            within(answer).await
        }))
    }

    /// Ends the connection.
    pub fn close(&mut self) {
        self.open = None;
    }

    async fn ready(&mut self) -> Result<&mut Sender, String> {
        let is_open = match &mut self.open {
            None => false,
            Some(open) => match &mut open.sender {
                Sender::One(sender) => sender.ready().await.is_ok(),
                Sender::Two(sender) => sender.ready().await.is_ok(),
            },
        };
        if !is_open {
            self.open = None;
            self.open = Some(within(open(self.to, self.version)).await?);
        }
        let open = self.open.as_mut().ok_or("not open")?;
        Ok(&mut open.sender)
    }
}

async fn open(to: SocketAddr, version: Version) -> Result<Open, String> {
    let failed = |e: &dyn std::fmt::Debug| format!("cannot connect: {e:?}");
    let stream = TcpStream::connect(to).await.map_err(|e| failed(&e))?;
    stream.set_nodelay(true).map_err(|e| failed(&e))?;
    let io = TokioIo::new(stream);
    let mut connection = JoinSet::new();
    // How the connection ended is told by the requests that it cost.
    let sender = if version == Version::HTTP_2 {
        let (sender, drive) = http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(|e| failed(&e))?;
        connection.spawn(async { drop(drive.await) });
        Sender::Two(sender)
    } else {
        let (sender, drive) = http1::handshake(io).await.map_err(|e| failed(&e))?;
        connection.spawn(async { drop(drive.await) });
        Sender::One(sender)
    };
    Ok(Open {
        sender,
        _connection: connection,
    })
}

async fn whole(response: http::Response<Incoming>) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    let status = head.status;
    let whole = body.collect().await;
    let whole = whole.map_err(|e| format!("broken off after {status}: {e:?}"))?;
    let trailers = whole.trailers().cloned().unwrap_or_default();
    Ok(Answer {
        status,
        fields: head.headers,
        body: whole.to_bytes(),
        trailers,
    })
}

/// Nothing that works takes as long as this.
async fn within<T>(step: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    const LIMIT: Duration = PATIENCE;
    match tokio::time::timeout(LIMIT, step).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("nothing within {LIMIT:?}")),
    }
}
