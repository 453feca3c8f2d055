//! `If-Match`: a change that is made only if nobody made another meanwhile.

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;

use super::Reply;
use crate::model::{Epoch, Revision};
use crate::watch::etag;

/// The state that a caller's change builds on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// None was named: any will do.
    Any,
    /// `If-Match: "<revision>"`.
    Revision(Revision),
    /// `If-Match: "<epoch>-<revision>"`, the `ETag` of a list.
    State(Epoch, Revision),
}

impl IfMatch {
    /// Whether the state at `revision` of `epoch` is the one named.
    pub fn holds(&self, epoch: &Epoch, revision: Revision) -> bool {
        match self {
            Self::Any => true,
            Self::Revision(named) => *named == revision,
            Self::State(life, named) => life == epoch && *named == revision,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Reply;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Reply> {
        let mut given = parts.headers.get_all(header::IF_MATCH).iter();
        let (tag, more) = (given.next(), given.next());
        let Some(tag) = tag else {
            return Ok(Self::Any);
        };
        if tag == "*" && more.is_none() {
            return Ok(Self::Any);
        }
        let number = || tag.to_str().ok()?.trim_matches('"').parse().ok();
        match (number(), etag::parse(tag)) {
            (Some(revision), _) if more.is_none() => Ok(Self::Revision(Revision(revision))),
            (_, Some((epoch, revision))) if more.is_none() => Ok(Self::State(epoch, revision)),
            _ => Err(Reply::bad_request(
                "invalid_precondition",
                "If-Match: must be one revision in quotes, such as \"7\", or the ETag of a list",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn read(values: &[&str]) -> Result<IfMatch, Reply> {
        let request = values
            .iter()
            .fold(Request::builder(), |r, v| r.header("if-match", *v));
        let mut parts = request.body(()).expect("a request").into_parts().0;
        IfMatch::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_revision_or_an_etag_is_read_and_anything_else_refused() {
        assert_eq!(read(&[]).await, Ok(IfMatch::Any));
        assert_eq!(read(&["*"]).await, Ok(IfMatch::Any));
        assert_eq!(read(&["\"7\""]).await, Ok(IfMatch::Revision(Revision(7))));
        assert_eq!(read(&["7"]).await, Ok(IfMatch::Revision(Revision(7))));
        let state = IfMatch::State(Epoch::named("e-1"), Revision(7));
        assert_eq!(read(&["\"e-1-7\""]).await, Ok(state));
        for wrong in [&["nonsense"][..], &["\"a-b\""], &[""], &["\"7\"", "\"8\""]] {
            let refused = read(wrong).await.expect_err("refused");
            assert!(refused.text().contains("If-Match"), "{wrong:?}");
        }
    }

    #[test]
    fn it_holds_for_the_named_state_only() {
        let (epoch, other) = (Epoch::named("e"), Epoch::named("f"));
        assert!(IfMatch::Any.holds(&epoch, Revision(1)));
        assert!(IfMatch::Revision(Revision(1)).holds(&other, Revision(1)));
        assert!(!IfMatch::Revision(Revision(1)).holds(&epoch, Revision(2)));
        let state = IfMatch::State(epoch.clone(), Revision(1));
        assert!(state.holds(&epoch, Revision(1)));
        assert!(!state.holds(&other, Revision(1)));
        assert!(!state.holds(&epoch, Revision(2)));
    }
}
