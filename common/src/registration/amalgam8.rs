//! Registers with an Amalgam8 registry, ours or the original, over its REST API.

use std::time::Duration;

use async_trait::async_trait;
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{RequestBuilder, Response};
use serde::{Deserialize, Serialize};

use super::{Announcement, Error, Lease, Registration};
use crate::model::{Endpoint, InstanceId, Metadata, ServiceName, Status, Tags};
use crate::peer::{self, Peer};
use crate::source::amalgam8::INSTANCES_PATH;

/// How long one question may take, its answer's body included.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of an answer is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A client of one registry, or of several that share their state.
pub struct Client {
    registry: Peer,
}

#[derive(Serialize)]
struct Body<'a> {
    service_name: &'a ServiceName,
    endpoint: &'a Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
    status: &'a Status,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: &'a Tags,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
}

#[derive(Deserialize)]
struct Registered {
    id: InstanceId,
    ttl: u64,
}

impl Client {
    /// A client of `registry`.
    pub fn new(registry: Peer) -> Self {
        Self { registry }
    }

    /// Asks the current server, and leaves it for the next when it fails.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, peer::Error> {
        let index = self.registry.current();
        let request = with(self.registry.request(index, method, path));
        let result = match self.registry.send(index, request, PATIENCE).await {
            Ok(reply) if reply.status().is_success() => Ok(reply),
            Ok(reply) => Err(self.registry.refusal(index, reply).await),
            Err(e) => Err(e),
        };
        result.inspect_err(|e| {
            if e.retryable() {
                self.registry.leave(index);
            }
        })
    }

    async fn ask_of(&self, id: &InstanceId, method: Method, what: &str) -> Result<(), Error> {
        let name = utf8_percent_encode(id.as_str(), NON_ALPHANUMERIC);
        let path = format!("{INSTANCES_PATH}/{name}{what}");
        match self.ask(method, &path, |request| request).await {
            Ok(_) => Ok(()),
            // The original also answers 404 where a proxy of its own stands before it.
            Err(peer::Error::Refused {
                status: StatusCode::GONE | StatusCode::NOT_FOUND,
                ..
            }) => Err(Error::Unknown(id.clone())),
            Err(e) => Err(e.into()),
        }
    }
}

#[async_trait]
impl Registration for Client {
    async fn register(&self, me: &Announcement) -> Result<Lease, Error> {
        let body = Body {
            service_name: &me.service_name,
            endpoint: &me.endpoint,
            ttl: me.ttl.map(|ttl| ttl.as_secs()),
            status: &me.status,
            tags: &me.tags,
            metadata: me.metadata.as_ref(),
        };
        let reply = self
            .ask(Method::POST, INSTANCES_PATH, |request| request.json(&body))
            .await?;
        let answer = |reason: &str| Error::Answer(reason.to_owned());
        let body = peer::read_body(reply, MAX_ANSWER_BYTES);
        let body = match tokio::time::timeout(PATIENCE, body).await {
            Err(_) => return Err(answer("it does not end")),
            Ok(Err(e)) => return Err(Error::Answer(peer::with_causes(&e))),
            Ok(Ok(body)) => body.ok_or_else(|| answer("it is too long"))?,
        };
        let registered: Registered =
            serde_json::from_slice(&body).map_err(|e| Error::Answer(e.to_string()))?;
        Ok(Lease {
            id: registered.id,
            ttl: Duration::from_secs(registered.ttl),
        })
    }

    async fn renew(&self, id: &InstanceId) -> Result<(), Error> {
        self.ask_of(id, Method::PUT, "/heartbeat").await
    }

    async fn deregister(&self, id: &InstanceId) -> Result<(), Error> {
        match self.ask_of(id, Method::DELETE, "").await {
            Ok(()) | Err(Error::Unknown(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }
}
