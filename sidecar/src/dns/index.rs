//! Which instances a name stands for.
//!
//! Names are [keys](super::name) here: `v1.reviews` is `reviews.v1`. Each instance has *words*,
//! by which it is asked for: its id, the type of its endpoint, its tags, and for a tag
//! `key=value` also `value.key`. An instance answers to a name when what stands before the
//! service can be cut into words of that instance: in any order, some of them or all.

use std::sync::Arc;

use a8_common::model::Revision;
use imbl::OrdMap;

use super::entry::{Entry, Fit};
use super::name::cuts;

/// What a name stands for.
pub(super) enum Found<'a> {
    /// There is no such name.
    Nothing,
    /// Names below it stand for something (RFC 8020).
    OnTheWay,
    /// These instances, of which there is at least one.
    Instances(Vec<&'a Entry>),
}

/// All instances that take requests, by service. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Index {
    /// Whether the instances have been loaded once.
    pub(super) loaded: bool,
    /// The newest change that is in.
    pub(super) revision: Revision,
    /// Services whose names differ in case only are one.
    pub(super) services: OrdMap<Arc<[u8]>, Arc<[Arc<Entry>]>>,
}

impl Index {
    /// The instances that `key`, read as `[word.]*service`, stands for.
    pub(super) fn find(&self, key: &[u8]) -> Found<'_> {
        let mut services =
            cuts(key).filter_map(|(head, rest)| Some((self.services.get(head)?, rest)));
        let found = match services.next() {
            Some((entries, rest)) => carrying(entries, rest),
            None => Found::Nothing,
        };
        self.or_on_the_way(found, key)
    }

    /// The instances that `key`, read as `[word.]*_service._word`, stands for. The word is that
    /// of a protocol in most cases; `_tcp` stands for http and https where nothing is of type
    /// tcp, as both run over it (RFC 2782 names transports there).
    pub(super) fn find_service(&self, key: &[u8]) -> Found<'_> {
        let Some((protocol, rest)) = cuts(key).last() else {
            return Found::Nothing;
        };
        let protocol = protocol.strip_prefix(b"_").unwrap_or(protocol);
        if rest.is_empty() {
            return Found::OnTheWay;
        }
        let mut services = cuts(rest).filter_map(|(head, rest)| {
            let name = without_underscore(head)?;
            Some((self.services.get(&*name)?, rest))
        });
        let Some((entries, front)) = services.next() else {
            return self.or_on_the_way(Found::Nothing, rest);
        };
        let mut found = carrying(entries, front);
        if let Found::Instances(entries) = &mut found {
            let over_tcp = protocol == b"tcp" && !entries.iter().any(|e| e.has_word(protocol));
            entries.retain(|entry| match over_tcp {
                true => entry.runs_over_tcp(),
                false => entry.has_word(protocol),
            });
            if entries.is_empty() {
                found = Found::Nothing;
            }
        }
        found
    }

    fn or_on_the_way<'a>(&self, found: Found<'a>, key: &[u8]) -> Found<'a> {
        match found {
            Found::Nothing if self.has_below(key) => Found::OnTheWay,
            found => found,
        }
    }

    /// Whether a service's name lies below `key`: `b` has `a.b` below it.
    fn has_below(&self, key: &[u8]) -> bool {
        let mut from = key.to_vec();
        from.push(b'.');
        let from: Arc<[u8]> = from.into();
        let next = self.services.range(from.clone()..).next();
        next.is_some_and(|(name, _)| name.starts_with(&from))
    }
}

/// Those of `entries` that `rest` fits. An id before the service stands for that instance
/// alone, whatever tags others have.
fn carrying<'a>(entries: &'a [Arc<Entry>], rest: &[u8]) -> Found<'a> {
    let mut fitting = Vec::new();
    let mut nothing = Found::Nothing;
    for entry in entries {
        if !rest.is_empty() && entry.id.as_deref() == Some(rest) {
            return Found::Instances(vec![entry]);
        }
        match entry.fit(rest) {
            Fit::Whole => fitting.push(&**entry),
            Fit::OnTheWay => nothing = Found::OnTheWay,
            Fit::No => {}
        }
    }
    match fitting.is_empty() {
        true => nothing,
        false => Found::Instances(fitting),
    }
}

/// The key of a service of which the leftmost label was written with an underscore before it.
fn without_underscore(head: &[u8]) -> Option<Vec<u8>> {
    let at = head
        .iter()
        .rposition(|b| *b == b'.')
        .map_or(0, |dot| dot + 1);
    let label = head[at..].strip_prefix(b"_")?;
    Some([&head[..at], label].concat())
}

#[cfg(test)]
mod tests;
