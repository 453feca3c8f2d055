//! Entity tags of plain lists: `"<epoch>-<revision>"`.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::model::{Epoch, Revision};
use crate::view::{Item, Snapshot};

/// The tag of the state at `revision` of `epoch`. `None` when the epoch's name does not fit
/// into a header.
pub fn make(epoch: &Epoch, revision: Revision) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{epoch}-{revision}\"")).ok()
}

/// The reply to a plain GET of `now`: 304 when `headers` say that the caller has it, otherwise
/// what `make` makes. Either carries the tag of `now`.
///
/// # Errors
/// Those of `make`.
pub fn answer<T: Item, E>(
    now: &Snapshot<T>,
    headers: &HeaderMap,
    make: impl FnOnce() -> Result<Response, E>,
) -> Result<Response, E> {
    let tag = now.epoch.as_ref().and_then(|e| self::make(e, now.revision));
    let mut reply = match &tag {
        Some(tag) if is_known(tag, headers) => StatusCode::NOT_MODIFIED.into_response(),
        _ => make()?,
    };
    if let Some(tag) = tag {
        reply.headers_mut().insert(header::ETAG, tag);
    }
    Ok(reply)
}

/// Whether the caller already has what `tag` names (`If-None-Match`).
fn is_known(tag: &HeaderValue, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .flat_map(|given| given.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}

/// Reads a tag that [`make`] made; `None` for any other.
pub fn parse(tag: &HeaderValue) -> Option<(Epoch, Revision)> {
    let text = tag.to_str().ok()?;
    let text = text.strip_prefix("W/").unwrap_or(text);
    let (epoch, revision) = text
        .strip_prefix('"')?
        .strip_suffix('"')?
        .rsplit_once('-')?;
    Some((Epoch::named(epoch), Revision(revision.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_in_every_form_that_a_header_may_have() {
        let tag = make(&Epoch::named("e-1"), Revision(7)).unwrap();
        let known = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(given));
            is_known(&tag, &headers)
        };
        assert!(known("\"e-1-7\""));
        assert!(known("\"x\", W/\"e-1-7\""));
        assert!(known("*"));
        assert!(!known("\"e-1-8\""));
        assert!(!is_known(&tag, &HeaderMap::new()));
    }

    #[test]
    fn what_is_made_is_read() {
        let tag = make(&Epoch::named("e-1"), Revision(7)).unwrap();
        assert_eq!(parse(&tag), Some((Epoch::named("e-1"), Revision(7))));
        for other in ["\"abc\"", "e-1", "\"e-x\""] {
            assert_eq!(parse(&HeaderValue::from_static(other)), None);
        }
    }
}
