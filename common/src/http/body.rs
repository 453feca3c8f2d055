//! The body of a request, when it must be JSON.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;

use super::Reply;

/// The bytes of a JSON body, not yet parsed: at most what the limits of the server allow.
///
/// Refuses what does not call itself JSON (415) and what is too large (413).
#[derive(Debug, Clone)]
pub struct JsonBody(pub Bytes);

impl JsonBody {
    /// Parses the body. Nesting beyond 128 levels is refused.
    ///
    /// # Errors
    /// 400 with the path of the member that is wrong, or the place where it is not JSON.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        let refuse = |text| Reply::bad_request("invalid_body", text);
        if self.0.is_empty() {
            return Err(refuse("the request has no body".to_owned()));
        }
        let mut json = serde_json::Deserializer::from_slice(&self.0);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
            let path = e.path().to_string();
            let cause = e.into_inner();
            refuse(match path.as_str() {
                "." => cause.to_string(),
                path => format!("{path}: {cause}"),
            })
        })?;
        json.end()
            .map_err(|e| refuse(format!("after the body: {e}")))?;
        Ok(value)
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Reply;

    async fn from_request(request: Request, _: &S) -> Result<Self, Reply> {
        if !is_json(request.headers()) {
            return Err(Reply::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the Content-Type must be application/json",
            ));
        }
        match request.into_body().collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(e) if is_too_large(&e) => Err(Reply::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body is too large",
            )),
            Err(_) => Err(Reply::bad_request(
                "invalid_body",
                "the body ended before it was complete",
            )),
        }
    }
}

/// `application/json`, or a type built on it such as `application/merge-patch+json`.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let Some(kind) = kind.and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn is_too_large(error: &axum::Error) -> bool {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |e| (*e).source()).any(|e| e.is::<LengthLimitError>())
}
