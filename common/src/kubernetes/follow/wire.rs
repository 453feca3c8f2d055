//! Lists and watches as they come from the API server.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use kube::Client;
use kube::core::Status;
use kube::core::response::StatusSummary;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// How long the API server may take to begin an answer, and to answer a list.
const ANSWER: Duration = Duration::from_secs(30);
/// How long an event may be. etcd keeps no object that is longer by default.
const MAX_EVENT: usize = 8 << 20;

/// The lines of a watch. It ends when the connection does, for whatever reason.
pub(super) type Lines = Pin<Box<dyn Stream<Item = Result<String, LinesCodecError>> + Send>>;

/// An answer to a list.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) metadata: ListMetadata,
    /// `null` when it is empty.
    pub(super) items: Option<Vec<Box<RawValue>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) next: String,
}

/// One line of a watch.
#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) object: Box<RawValue>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// The only member of an object that says where a watch stands.
#[derive(Deserialize)]
struct Versioned {
    metadata: ListMetadata,
}

/// The kinds of a group.
#[derive(Deserialize)]
struct Siblings {
    #[serde(default)]
    resources: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    name: String,
}

/// A list.
pub(super) async fn list(
    client: &Client,
    request: http::Request<Vec<u8>>,
) -> Result<Page, kube::Error> {
    let text = bounded(client.request_text(request)).await?;
    serde_json::from_str(&text).map_err(kube::Error::SerdeError)
}

/// Begins a watch: the API server has agreed.
pub(super) async fn watch(
    client: &Client,
    mut request: http::Request<Vec<u8>>,
) -> Result<Lines, kube::Error> {
    // Compressed, events would wait for one another.
    let identity = http::HeaderValue::from_static("identity");
    request
        .headers_mut()
        .insert(http::header::ACCEPT_ENCODING, identity);
    let body = bounded(client.request_stream(request)).await?;
    let lines = LinesCodec::new_with_max_length(MAX_EVENT);
    Ok(FramedRead::new(body.compat(), lines).boxed())
}

/// The event that a line is. `None` for a line that was cut off.
pub(super) fn event(line: &str) -> Result<Option<Event>, kube::Error> {
    match serde_json::from_str(line) {
        Ok(event) => Ok(Some(event)),
        Err(e) if e.is_eof() => Ok(None),
        Err(e) => match serde_json::from_str::<Status>(line) {
            Ok(status) if status.status == Some(StatusSummary::Failure) => {
                Err(kube::Error::Api(status.boxed()))
            }
            _ => Err(kube::Error::SerdeError(e)),
        },
    }
}

/// The `resourceVersion` of an object.
pub(super) fn version(object: &RawValue) -> Result<String, kube::Error> {
    let versioned: Versioned =
        serde_json::from_str(object.get()).map_err(kube::Error::SerdeError)?;
    Ok(versioned.metadata.resource_version)
}

/// Whether the API server, asked at `path` for the kinds of a group, knows neither the group
/// nor, if it does, the kind.
pub(super) async fn is_unknown(client: &Client, path: &str, plural: &str) -> bool {
    let Ok(request) = http::Request::get(path).body(Vec::new()) else {
        return false;
    };
    match bounded(client.request::<Siblings>(request)).await {
        Ok(siblings) => siblings.resources.iter().all(|known| known.name != plural),
        Err(kube::Error::Api(status)) => status.code == 404,
        Err(_) => false,
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::ReadEvents(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", ANSWER.as_secs()),
        ))),
    }
}
