//! HTTP/2 with prior knowledge, and what gRPC makes of it.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Answer, Error, Request};
use crate::backend::message;

#[derive(Clone)]
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    /// A request's head without its body, to be cloned.
    head: http::Request<()>,
    body: Bytes,
    grpc: bool,
    /// What moves the bytes, as long as there is a handle.
    _task: Rc<JoinSet<()>>,
}

impl Client {
    pub(super) async fn new(
        stream: TcpStream,
        request: &Request,
        grpc: bool,
    ) -> Result<Self, Error> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            // Windows that never make the proxy wait for us.
            .initial_stream_window_size(2 << 20)
            .initial_connection_window_size(32 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            // Those whose requests fail with the connection tell of it.
            let _ = connection.await;
        });
        let body = match grpc {
            true => message(&request.upload),
            false => request.upload.clone(),
        };
        let head = head(request, grpc).map_err(|e| Error::Head(e.to_string()))?;
        Ok(Self {
            sender,
            head,
            body,
            grpc,
            _task: Rc::new(task),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    pub(super) async fn call(&mut self) -> Result<Answer, Error> {
        let body = Full::new(self.body.clone());
        let request = self.head.clone().map(|()| body);
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let (head, mut body) = response.into_parts();
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            if let Ok(last) = frame?.into_trailers() {
                trailers = Some(last);
            }
        }
        Ok(match head.status {
            StatusCode::OK if self.grpc => outcome(trailers.as_ref().unwrap_or(&head.headers)),
            status if status.is_success() => Answer::Good,
            status => Answer::Refused(status.as_u16()),
        })
    }
}

fn head(request: &Request, grpc: bool) -> Result<http::Request<()>, http::Error> {
    let authority = request.host.as_str();
    let uri = Uri::builder().scheme("http").authority(authority);
    let mut head = http::Request::new(());
    *head.uri_mut() = uri.path_and_query(request.path.as_str()).build()?;
    let agent = HeaderValue::from_static("a8load");
    head.headers_mut().insert(header::USER_AGENT, agent);
    head.headers_mut().extend(request.headers.iter().cloned());
    if grpc || !request.upload.is_empty() {
        *head.method_mut() = Method::POST;
    }
    if grpc {
        let kind = HeaderValue::from_static("application/grpc");
        head.headers_mut().insert(header::CONTENT_TYPE, kind);
        let trailers = HeaderValue::from_static("trailers");
        head.headers_mut().insert(header::TE, trailers);
    }
    Ok(head)
}

/// What gRPC calls the outcome; an answer that lacks it counts as "unknown" (2), as clients have it.
fn outcome(from: &HeaderMap) -> Answer {
    let status = from.get("grpc-status").and_then(|s| s.to_str().ok());
    match status.and_then(|s| s.parse().ok()).unwrap_or(2) {
        0 => Answer::Good,
        status => Answer::Refused(status),
    }
}
