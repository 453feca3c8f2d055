//! Connections in HTTP/1, which carry one exchange at a time.

use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::task::AbortHandle;

use crate::proxy::body::Outbound;

/// One connection. Dropping it closes the connection.
pub(in crate::proxy) struct Single {
    sender: http1::SendRequest<Outbound>,
    driver: AbortHandle,
}

impl Single {
    /// A connection, and the task that drives it.
    pub(in crate::proxy) fn new(sender: http1::SendRequest<Outbound>, driver: AbortHandle) -> Self {
        Self { sender, driver }
    }

    /// Whether a request can be sent at once.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Ready when a request can be sent, or never again.
    pub(super) fn poll_free(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.poll_ready(cx).map(|_| ())
    }

    pub(super) fn send(
        &mut self,
        request: Request<Outbound>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Outbound>>>> + use<>
    {
        self.sender.try_send_request(request)
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        // A free one ends by itself, in good order. One that is within an exchange would first
        // send what it has to, for ever if its peer does not read.
        if !self.sender.is_ready() {
            self.driver.abort();
        }
    }
}
