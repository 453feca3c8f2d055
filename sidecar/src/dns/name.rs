//! Names as they are compared.
//!
//! A [`Key`] is a name, or a part of one, from the right to the left, in small letters and
//! with dots between the labels: `a.b.Reviews` is `reviews.b.a`. So names below one another
//! begin alike, as in a dictionary. Letters are ASCII's (RFC 4343); other octets are compared
//! as they are.

use std::fmt;
use std::str::FromStr;

use hickory_proto::rr::Name;

/// The longest label, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL: usize = 63;

/// A name as it is compared.
pub(super) type Key = Box<[u8]>;

/// The key of `labels`, given from the left to the right. `None` when one of them holds a dot:
/// no service and no tag is written so.
pub(super) fn key<'a>(labels: impl DoubleEndedIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    for label in labels.rev() {
        if label.contains(&b'.') {
            return None;
        }
        if !key.is_empty() {
            key.push(b'.');
        }
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    Some(key)
}

/// The key of a text whose dots part labels. `None` when it cannot stand in a name.
pub(super) fn key_of(text: &str) -> Option<Key> {
    let fits = |label: &[u8]| (1..=MAX_LABEL).contains(&label.len());
    let labels = || text.as_bytes().split(|b| *b == b'.');
    if !labels().all(fits) {
        return None;
    }
    key(labels()).map(Vec::into_boxed_slice)
}

/// What is left of `key` after `head`, which ends where a label ends: empty when both are the
/// same.
pub(super) fn below<'a>(key: &'a [u8], head: &[u8]) -> Option<&'a [u8]> {
    match key.strip_prefix(head)? {
        [] => Some(&[]),
        [b'.', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// All ways to cut `key` between two labels into a head, which is not empty, and the rest; the
/// longest head first.
pub(super) fn cuts(key: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let inner = (0..key.len()).rev().filter(|at| key[*at] == b'.');
    let inner = inner.map(|at| (&key[..at], &key[at + 1..]));
    let whole = (!key.is_empty()).then_some((key, &[][..]));
    whole.into_iter().chain(inner)
}

/// The domain that the server answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain(Name);

/// Why a text is no domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no domain name: labels of 1 to 63 characters are wanted, with dots between them")]
pub struct DomainError;

impl Domain {
    /// Its name.
    pub(super) fn name(&self) -> &Name {
        &self.0
    }

    /// The name of what is written as `texts` below it, the first leftmost; their dots part
    /// labels. `None` when it would be too long, or a label of it.
    pub(super) fn below(&self, texts: &[&str]) -> Option<Name> {
        let labels = texts.iter().flat_map(|text| text.split('.'));
        let name = Name::from_labels(labels.map(str::as_bytes)).ok()?;
        name.append_domain(&self.0).ok()
    }

    /// What `name` is below the domain; `None` for what lies outside.
    pub(super) fn inside(&self, name: &Name) -> Option<Inside> {
        let labels: Vec<&[u8]> = name.iter().collect();
        let own = labels.len().checked_sub(self.0.iter().len())?;
        let (own, domain) = labels.split_at(own);
        let same = |(a, b): (&&[u8], &[u8])| a.eq_ignore_ascii_case(b);
        if !domain.iter().zip(self.0.iter()).all(same) {
            return None;
        }
        Some(match key(own.iter().copied()) {
            Some(key) => Inside::Key(key),
            None => Inside::Nothing,
        })
    }
}

/// What a name inside of the domain is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Its key below the domain: empty for the domain itself.
    Key(Vec<u8>),
    /// A name that nothing can have.
    Nothing,
}

impl FromStr for Domain {
    type Err = DomainError;

    /// Reads `amalgam8` or `services.example.`, with or without a dot at the end.
    fn from_str(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.chars().all(good) || key_of(text).is_none() {
            return Err(DomainError);
        }
        let labels = text.split('.').map(str::as_bytes);
        Name::from_labels(labels).map(Self).map_err(|_| DomainError)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_right() {
        assert_eq!(key_of("a.B.Reviews").as_deref(), Some(&b"reviews.b.a"[..]));
        for text in ["", ".", "a..b", "a.", &"x".repeat(64)] {
            assert_eq!(key_of(text), None, "{text:?}");
        }
        assert_eq!(key([&b"a.b"[..], b"c"].into_iter()), None);
    }

    #[test]
    fn the_longest_head_comes_first() {
        let all: Vec<_> = cuts(b"c.b.a").collect();
        let want: [(&[u8], &[u8]); 3] = [(b"c.b.a", b""), (b"c.b", b"a"), (b"c", b"b.a")];
        assert_eq!(all, want);
        assert_eq!(cuts(b"").count(), 0);
        assert_eq!(below(b"c.b", b"c"), Some(&b"b"[..]));
        assert_eq!(below(b"c", b"c"), Some(&b""[..]));
        assert_eq!(below(b"cc", b"c"), None);
    }

    #[test]
    fn what_lies_in_a_domain() {
        let domain: Domain = "Svc.Example.".parse().unwrap();
        let inside = |name: &str| domain.inside(&Name::from_ascii(name).unwrap());
        let key = |text: &str| Some(Inside::Key(text.into()));
        assert_eq!(inside("V1.Reviews.svc.EXAMPLE."), key("reviews.v1"));
        assert_eq!(inside("svc.example."), key(""));
        assert_eq!(inside("*.svc.example."), key("*"));
        assert_eq!(inside("*.a.svc.example."), key("a.*"));
        assert_eq!(inside("a\\.b.svc.example."), Some(Inside::Nothing));
        for name in ["example.", "xsvc.example.", "x\\.svc.example.", "."] {
            assert_eq!(inside(name), None, "{name}");
        }
        for text in ["", ".", "a..b", "a b", "ä", "a/b"] {
            assert_eq!(text.parse::<Domain>(), Err(DomainError), "{text:?}");
        }
    }
}
