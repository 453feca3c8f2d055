//! Paths, segment by segment.
//!
//! Segments are compared after percent-decoding, so a `%2F` inside one is not a separator.
//! What is sent on keeps its escapes as they came. Empty segments and `.` are segments like
//! any other: nothing is collapsed, neither for comparing nor for sending, because an
//! upstream may tell `/a//b` from `/a/b`. Only `..` is special: a path may not climb above
//! the place that it was routed by.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::{Serialize, Serializer};

/// Why a text is not the path of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not absolute.
    #[error("must begin with '/'")]
    Relative,
    /// Too many bytes.
    #[error("has {got} bytes, at most {max} are allowed", max = Path::MAX_BYTES)]
    TooLong {
        /// Bytes of the refused text.
        got: usize,
    },
    /// Too many segments.
    #[error("has more than {max} segments", max = Path::MAX_SEGMENTS)]
    TooDeep,
    /// A character that no path on the wire has.
    #[error("holds {0:?}; write it percent-encoded")]
    Character(char),
    /// A query or a fragment.
    #[error("holds {0:?}; rules go by the path alone")]
    NotPath(char),
    /// A segment `..`, in whatever spelling.
    #[error("must not have a segment '..'")]
    Parent,
}

/// An absolute path in a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Arc<str>);

impl Path {
    /// The longest path that a rule may have, in bytes.
    pub const MAX_BYTES: usize = 2048;
    /// The most segments that a rule's path may have.
    pub const MAX_SEGMENTS: usize = 64;

    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`PathError`] says what no path of a rule may have.
    pub fn new(text: &str) -> Result<Self, PathError> {
        if !text.starts_with('/') {
            return Err(PathError::Relative);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(PathError::TooLong { got: text.len() });
        }
        for c in text.chars() {
            match c {
                '?' | '#' => return Err(PathError::NotPath(c)),
                '!'..='~' => {}
                _ => return Err(PathError::Character(c)),
            }
        }
        if segments(text).count() > Self::MAX_SEGMENTS {
            return Err(PathError::TooDeep);
        }
        if segments(text).any(|s| *decoded(s) == *b"..") {
            return Err(PathError::Parent);
        }
        Ok(Self(text.into()))
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, decoded.
    pub(super) fn segments(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        segments(&self.0).map(decoded)
    }

    /// The same without the slash at the end, if it has one.
    fn without_slash(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }

    /// Its segments as a prefix: one empty segment at the end does not count.
    pub(super) fn prefix_segments(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        segments(self.without_slash()).map(decoded)
    }

    /// This path with `rest` below it. `rest` is empty or begins with a slash.
    pub(super) fn join(&self, rest: &str) -> String {
        let base = if rest.starts_with('/') {
            self.without_slash()
        } else {
            &self.0
        };
        let mut joined = String::with_capacity(base.len() + rest.len());
        joined.push_str(base);
        joined.push_str(rest);
        joined
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&self.0)
    }
}

/// The path and the query, which keeps its `?`.
pub(super) fn split_query(target: &str) -> (&str, &str) {
    target.split_at(target.find('?').unwrap_or(target.len()))
}

/// The raw segments of an absolute path: `/a/b` has two, `/` one that is empty, and the
/// empty path none.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path.strip_prefix('/');
    std::iter::from_fn(move || {
        let here = rest?;
        match here.split_once('/') {
            Some((segment, after)) => {
                rest = Some(after);
                Some(segment)
            }
            None => {
                rest = None;
                Some(here)
            }
        }
    })
}

/// A segment without its escapes. What only looks like an escape stays as it is.
pub(super) fn decoded(segment: &str) -> Cow<'_, [u8]> {
    percent_decode_str(segment).into()
}

/// Whether `path` leads above its beginning by `..`. Slashes that were escaped count here:
/// whoever decodes the path later must not be led out by them either.
pub(super) fn climbs(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in segments(path) {
        for part in decoded(segment).split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => match depth.checked_sub(1) {
                    Some(up) => depth = up,
                    None => return true,
                },
                _ => depth += 1,
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rules_path_is_checked() {
        for good in ["/", "/a", "/a/", "/a%20b/c", "/a//b", "/.../x"] {
            assert!(Path::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "/a?b", "/a#b", "/a b", "/ä", "/a/..", "/%2e%2E/a"] {
            assert!(Path::new(bad).is_err(), "{bad}");
        }
        assert!(Path::new(&format!("/{}", "a".repeat(2048))).is_err());
    }

    #[test]
    fn only_a_path_that_leads_out_climbs() {
        for inside in [
            "",
            "/",
            "/a/../b",
            "/a/b/../..",
            "/...",
            "/a..",
            "/..a",
            "/%2e",
            "/a%2F..",
        ] {
            assert!(!climbs(inside), "{inside}");
        }
        for out in [
            "/..",
            "/../a",
            "/a/../..",
            "/%2e%2e",
            "/.%2E/a",
            "/./..",
            "//..",
            "/a%2F..%2F..",
        ] {
            assert!(climbs(out), "{out}");
        }
    }

    #[test]
    fn joining_makes_exactly_one_slash() {
        let join = |base: &str, rest: &str| Path::new(base).unwrap().join(rest);
        assert_eq!(join("/", "/x"), "/x");
        assert_eq!(join("/", ""), "/");
        assert_eq!(join("/v2", "/x"), "/v2/x");
        assert_eq!(join("/v2/", "/x"), "/v2/x");
        assert_eq!(join("/v2/", ""), "/v2/");
        assert_eq!(join("/v2", "/"), "/v2/");
        assert_eq!(join("/v2", "//x%2F"), "/v2//x%2F");
    }
}
