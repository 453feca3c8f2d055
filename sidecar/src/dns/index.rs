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
            Some((entries, rest)) => carrying(entries, rest, |_| true),
            None => Found::Nothing,
        };
        match found {
            Found::Nothing => self.below(key, |_| true),
            found => found,
        }
    }

    /// The instances that `key`, read as `[word.]*_service._word`, stands for. The word is that
    /// of a protocol in most cases; `_tcp` stands for http and https where nothing is of type
    /// tcp, as both run over it (RFC 2782 names transports there). Names on the way are those to
    /// instances that the word is one of, too.
    pub(super) fn find_service(&self, key: &[u8]) -> Found<'_> {
        let Some((protocol, rest)) = cuts(key).last() else {
            return Found::Nothing;
        };
        let protocol = protocol.strip_prefix(b"_").unwrap_or(protocol);
        let is_tcp = protocol == b"tcp";
        let meant = |entry: &Entry| entry.has_word(protocol) || is_tcp && entry.runs_over_tcp();
        let mut services = cuts(rest).filter_map(|(head, rest)| {
            let name = without_underscore(head)?;
            Some((self.services.get(&*name)?, rest))
        });
        let Some((entries, front)) = services.next() else {
            return self.below(rest, meant);
        };
        let mut found = carrying(entries, front, meant);
        if let Found::Instances(entries) = &mut found
            && entries.iter().any(|entry| entry.has_word(protocol))
        {
            entries.retain(|entry| entry.has_word(protocol));
        }
        found
    }

    /// Whether one of those that are `meant` is of a service whose name lies below `key`, as
    /// `a.b` lies below `b`; everything lies below the empty one.
    fn below(&self, key: &[u8], meant: impl Fn(&Entry) -> bool) -> Found<'_> {
        let mut from = key.to_vec();
        if !key.is_empty() {
            from.push(b'.');
        }
        let from: Arc<[u8]> = from.into();
        let mut below = self
            .services
            .range(from.clone()..)
            .take_while(|(name, _)| name.starts_with(&from));
        match below.any(|(_, entries)| entries.iter().any(|entry| meant(entry))) {
            true => Found::OnTheWay,
            false => Found::Nothing,
        }
    }
}

/// Those of the `entries` that are `meant` that `rest` fits. An id before the service stands for
/// that instance alone, whatever tags others have.
fn carrying<'a>(
    entries: &'a [Arc<Entry>],
    rest: &[u8],
    meant: impl Fn(&Entry) -> bool,
) -> Found<'a> {
    let has_id = |entry: &&Arc<Entry>| !rest.is_empty() && entry.id.as_deref() == Some(rest);
    let alone = entries.iter().find(has_id);
    if let Some(entry) = alone.filter(|entry| meant(entry)) {
        return Found::Instances(vec![entry]);
    }
    let mut fitting = Vec::new();
    let mut nothing = Found::Nothing;
    for entry in entries.iter().filter(|entry| meant(entry)) {
        match entry.fit(rest) {
            Fit::Whole if alone.is_none() => fitting.push(&**entry),
            // More words before an id do not stand for it alone.
            Fit::Whole | Fit::OnTheWay => nothing = Found::OnTheWay,
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
