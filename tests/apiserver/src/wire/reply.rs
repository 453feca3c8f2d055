//! Answers.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;

use super::accept::Format;
use crate::failure::Failure;

/// The body of an answer. Its error cuts the connection.
pub(crate) type Body = UnsyncBoxBody<Bytes, Cut>;

/// The connection was cut on purpose.
#[derive(Debug)]
pub(crate) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// The lines of a watch.
pub(crate) type Lines = BoxStream<'static, Result<Bytes, Cut>>;

/// An answer before it is written.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content: Content,
    pub(crate) warnings: Vec<String>,
    pub(crate) retry_after: Option<u32>,
    pub(crate) format: Format,
}

/// What an answer contains.
pub(crate) enum Content {
    Object(Value),
    /// All groups with all their kinds, for those who ask for them together.
    Discovery(Value),
    Text(String),
    Bytes(&'static str, Vec<u8>),
    Lines(Lines),
}

impl Reply {
    pub(crate) fn new(status: u16, content: Content) -> Self {
        Self {
            status,
            content,
            warnings: Vec::new(),
            retry_after: None,
            format: Format::Json,
        }
    }

    pub(crate) fn ok(object: Value) -> Self {
        Self::new(200, Content::Object(object))
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::new(200, Content::Text(text.into()))
    }

    pub(crate) fn bytes(kind: &'static str, bytes: Vec<u8>) -> Self {
        Self::new(200, Content::Bytes(kind, bytes))
    }

    pub(crate) fn failure(failure: &Failure) -> Self {
        let content = if failure.plain {
            Content::Text(failure.message.clone())
        } else {
            Content::Object(failure.object())
        };
        Self {
            retry_after: failure.details.retry_after,
            ..Self::new(failure.code, content)
        }
    }

    /// The answer as it is written.
    pub(crate) fn write(self) -> Response<Body> {
        let (kind, body) = match self.content {
            Content::Object(object) if self.format == Format::Yaml => {
                let text = serde_saphyr::to_string(&object).unwrap_or_default();
                ("application/yaml", full(text))
            }
            Content::Object(object) => ("application/json", full(object.to_string() + "\n")),
            Content::Discovery(object) => (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                full(object.to_string() + "\n"),
            ),
            Content::Text(text) => ("text/plain; charset=utf-8", full(text)),
            Content::Bytes(kind, bytes) => (kind, full(bytes)),
            Content::Lines(lines) => {
                use futures_util::StreamExt;
                let frames = lines.map(|line| line.map(Frame::data));
                let body = StreamBody::new(frames).boxed_unsync();
                ("application/json", body)
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, private"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        for warning in self.warnings {
            let warning = warning.replace('\\', "\\\\").replace('"', "\\\"");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{warning}\"")) {
                headers.append(header::WARNING, value);
            }
        }
        response
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
