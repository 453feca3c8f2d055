//! What a request is addressed to, and what of its target is sent on.

use std::borrow::Cow;

use super::{Refused, Request};
use crate::rule::path::{self, Path};

/// What a request is addressed to.
pub(in crate::rule) struct Address<'a> {
    /// The service, where the request names one.
    pub(super) service: Option<Cow<'a, str>>,
    pub(super) target: &'a str,
    /// The target without its query; `None` for a byte stream, which has no path.
    pub(in crate::rule) path: Option<&'a str>,
    /// Where in the target the part begins that the service is to see.
    below: usize,
}

impl<'a> Address<'a> {
    pub(in crate::rule) fn of(request: &Request<'a>) -> Result<Self, Refused> {
        let target = request.target;
        let (path, _) = path::split_query(target);
        let first = path::segments(path).next().ok_or(Refused::NotAPath)?;
        let (service, below) = match request.service {
            Some(service) => (Some(Cow::Borrowed(service)), 0),
            None => (segment_text(first), 1 + first.len()),
        };
        if path::decoded(first) == b"..".as_slice() || path::climbs(&path[below..]) {
            return Err(Refused::Climbs);
        }
        let service = service.filter(|s| !s.is_empty());
        Ok(Self {
            service,
            target,
            path: Some(path),
            below,
        })
    }

    /// Of a byte stream to `service`.
    pub(super) fn of_stream(service: &'a str) -> Self {
        Self {
            service: (!service.is_empty()).then_some(Cow::Borrowed(service)),
            target: "/",
            path: None,
            below: 0,
        }
    }

    /// The target as the addressed service sees it.
    pub(super) fn below_service(&self) -> Cow<'a, str> {
        let below = &self.target[self.below..];
        match below.as_bytes().first() {
            Some(b'/') => Cow::Borrowed(below),
            None => Cow::Borrowed("/"),
            Some(_) => Cow::Owned(format!("/{below}")),
        }
    }

    /// The target with `rewrite` in the place of `prefix`, by which it was found.
    pub(super) fn below_prefix(
        &self,
        prefix: &Path,
        rewrite: Option<&Path>,
    ) -> Result<Cow<'a, str>, Refused> {
        let own = self.path.unwrap_or_default();
        let raw = path::segments(own).zip(prefix.prefix_segments());
        let end: usize = raw.map(|(segment, _)| 1 + segment.len()).sum();
        if path::climbs(&own[end..]) {
            return Err(Refused::Climbs);
        }
        Ok(match rewrite {
            Some(rewrite) => Cow::Owned(rewrite.join(&self.target[end..])),
            None => Cow::Borrowed(self.target),
        })
    }
}

/// A segment as text, if it is any.
fn segment_text(segment: &str) -> Option<Cow<'_, str>> {
    match path::decoded(segment) {
        Cow::Borrowed(_) => Some(Cow::Borrowed(segment)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
