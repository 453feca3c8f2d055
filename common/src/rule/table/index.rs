//! Which rules of a long list a request may meet.
//!
//! A rule is indexed by one of its demands that can be looked up. From what says most to what
//! says least: an exact header value; a text that a header's value must contain, which most
//! patterns have (`user=jason` in `.*user=jason.*`) and which is searched for in one pass for
//! all rules together; that a header is there at all; the caller's name. A request then
//! meets only the rules whose demand it meets, and those without one, so thousands of rules
//! that differ in one header cost about as much as one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use http::HeaderName;
use memchr::memmem;
use smallvec::SmallVec;

use super::Compiled;
use crate::model::ServiceName;
use crate::rule::Rule;
use crate::rule::condition::{Caller, Header};
use crate::rule::decide::Request;

/// So many headers are looked at for the index; each costs every request a look-up.
const MAX_HEADERS: usize = 8;
/// A shorter text is in too many values to tell rules apart.
const MIN_TEXT: usize = 3;
/// Up to so many texts are searched for one by one: an automaton takes kilobytes, and there may
/// be one for each of thousands of destinations.
const FEW_TEXTS: usize = MAX_TEXTS;
/// A request that contains more of the texts than this is met by the rules in one sorted
/// list, since merging many lists costs more than sorting.
const MAX_TEXTS: usize = 8;
/// After so many hits, all texts count as contained: a value made to contain them over and
/// over may not make the search for them dearer than what it saves.
const MAX_HITS: usize = 65_536;

/// Positions of rules by what they demand. Each rule stands in one place, positions rise.
#[derive(Debug, Default)]
pub(super) struct Index {
    callers: HashMap<ServiceName, Vec<u32>>,
    headers: Vec<(HeaderName, Demands)>,
    /// Rules that demand nothing that can be looked up.
    others: Vec<u32>,
}

/// What rules demand of one header.
#[derive(Debug, Default)]
struct Demands {
    /// This value.
    exact: HashMap<Box<[u8]>, Vec<u32>>,
    /// That a value contains a text.
    texts: Texts,
    /// That it is there, and more that cannot be looked up.
    present: Vec<u32>,
}

/// Texts, and the rules that demand each.
#[derive(Debug, Default)]
struct Texts {
    finder: Finder,
    rules: Box<[Vec<u32>]>,
}

/// Finds texts; the number of one is its place in [`Texts::rules`].
#[derive(Debug)]
enum Finder {
    /// One by one.
    Each(Box<[Box<[u8]>]>),
    /// All of them in one pass.
    All(AhoCorasick),
}

impl Default for Finder {
    fn default() -> Self {
        Self::Each(Box::default())
    }
}

/// Some positions, rising.
#[derive(Debug)]
pub(super) enum Positions<'a> {
    Indexed(&'a [u32]),
    Gathered(Vec<u32>),
}

impl Positions<'_> {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Indexed(positions) => positions,
            Self::Gathered(positions) => positions,
        }
    }
}

impl Index {
    pub(super) fn build<B>(rules: &[Arc<Compiled<B>>]) -> Self {
        let headers = common_headers(rules).map(|name| (name, Demands::default()));
        let mut index = Self {
            headers: headers.collect(),
            ..Self::default()
        };
        let mut texts = vec![BTreeMap::new(); index.headers.len()];
        for (at, compiled) in rules.iter().enumerate() {
            // A document has far fewer rules than that, and so has a namespace.
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            index.place(&compiled.rule, &mut texts).push(at);
        }
        for ((_, demands), texts) in index.headers.iter_mut().zip(texts) {
            demands.adopt(texts);
        }
        index
    }

    /// Where the position of `rule` belongs.
    fn place<'a, 'r>(
        &'a mut self,
        rule: &'r Rule,
        texts: &'a mut [BTreeMap<&'r [u8], Vec<u32>>],
    ) -> &'a mut Vec<u32> {
        let indexed = |h: &Header| self.headers.iter().position(|(name, _)| *name == h.name);
        let exact = |h: &'r Header| Some((indexed(h)?, h.pattern.literal()?));
        if let Some((at, value)) = demanded(rule).find_map(exact) {
            return self.headers[at].1.exact.entry(value.into()).or_default();
        }
        let long = |h: &'r Header| h.pattern.required().filter(|text| text.len() >= MIN_TEXT);
        let text = |h: &'r Header| Some((indexed(h)?, long(h)?));
        if let Some((at, text)) = demanded(rule).find_map(text) {
            return texts[at].entry(text).or_default();
        }
        if let Some(at) = demanded(rule).find_map(indexed) {
            return &mut self.headers[at].1.present;
        }
        match demanded_caller(rule) {
            Some(caller) => self.callers.entry(caller.name.clone()).or_default(),
            None => &mut self.others,
        }
    }

    /// The rules that `request` may meet, list by list.
    pub(super) fn find<'a>(&'a self, request: &Request<'_>, mut found: impl FnMut(Positions<'a>)) {
        found(Positions::Indexed(&self.others));
        if let Some(positions) = self.callers.get(&request.caller.service) {
            found(Positions::Indexed(positions));
        }
        for (name, demands) in &self.headers {
            if !request.headers.contains_key(name) {
                continue;
            }
            found(Positions::Indexed(&demands.present));
            let values = request.headers.get_all(name);
            for value in &values {
                if let Some(positions) = demands.exact.get(value.as_bytes()) {
                    found(Positions::Indexed(positions));
                }
            }
            let values = values.iter().map(http::HeaderValue::as_bytes);
            demands.texts.find(values, &mut found);
        }
    }
}

impl Demands {
    fn adopt(&mut self, texts: BTreeMap<&[u8], Vec<u32>>) {
        if texts.len() <= FEW_TEXTS {
            self.texts = Texts {
                finder: Finder::Each(texts.keys().map(|text| (*text).into()).collect()),
                rules: texts.into_values().collect(),
            };
            return;
        }
        // The other kind of automaton is faster and takes a hundred times the room.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        match AhoCorasick::builder().kind(kind).build(texts.keys()) {
            Ok(finder) => {
                self.texts = Texts {
                    finder: Finder::All(finder),
                    rules: texts.into_values().collect(),
                };
            }
            // Too many for one automaton: these rules are tried one by one.
            Err(_) => {
                self.present.extend(texts.into_values().flatten());
                self.present.sort_unstable();
            }
        }
    }
}

impl Texts {
    fn find<'a, 'v>(
        &'a self,
        values: impl Iterator<Item = &'v [u8]>,
        found: &mut impl FnMut(Positions<'a>),
    ) {
        let mut hits: SmallVec<[usize; MAX_TEXTS]> = SmallVec::new();
        let finder = match &self.finder {
            Finder::All(finder) => finder,
            Finder::Each(texts) => {
                for value in values {
                    for (text, wanted) in texts.iter().enumerate() {
                        if !hits.contains(&text) && memmem::find(value, wanted).is_some() {
                            hits.push(text);
                        }
                    }
                }
                let rules = hits.iter().map(|text| &*self.rules[*text]);
                return rules.for_each(|positions| found(Positions::Indexed(positions)));
            }
        };
        let mut seen = Vec::new();
        let all_hits = values.flat_map(|value| finder.find_overlapping_iter(value));
        for (nth, hit) in all_hits.enumerate() {
            let text = hit.pattern().as_usize();
            if nth >= MAX_HITS {
                hits = (0..self.rules.len()).collect();
                break;
            }
            if hits.len() < MAX_TEXTS {
                if !hits.contains(&text) {
                    hits.push(text);
                }
                continue;
            }
            if seen.is_empty() {
                seen = vec![false; self.rules.len()];
                hits.iter().for_each(|hit| seen[*hit] = true);
            }
            if !std::mem::replace(&mut seen[text], true) {
                hits.push(text);
            }
        }
        let rules = hits.iter().map(|text| &*self.rules[*text]);
        if hits.len() <= MAX_TEXTS {
            rules.for_each(|positions| found(Positions::Indexed(positions)));
            return;
        }
        let mut all: Vec<u32> = rules.flatten().copied().collect();
        all.sort_unstable();
        found(Positions::Gathered(all));
    }
}

/// The headers that most rules demand.
fn common_headers<B>(rules: &[Arc<Compiled<B>>]) -> impl Iterator<Item = HeaderName> {
    let mut counts: HashMap<&HeaderName, usize> = HashMap::new();
    for header in rules.iter().flat_map(|compiled| demanded(&compiled.rule)) {
        *counts.entry(&header.name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.as_str().cmp(b.as_str())));
    let most = counts.into_iter().take(MAX_HEADERS);
    most.map(|(name, _)| name.clone())
}

/// The headers without which `rule` cannot hold.
fn demanded(rule: &Rule) -> impl Iterator<Item = &Header> {
    let when = rule.matches();
    let own = when.into_iter().flat_map(|m| m.headers.iter());
    let all = when.into_iter().flat_map(|m| &m.all);
    own.chain(all.flat_map(|c| c.headers.iter()))
}

/// The caller without which `rule` cannot hold.
fn demanded_caller(rule: &Rule) -> Option<&Caller> {
    let when = rule.matches()?;
    let all = when.all.iter().find_map(|c| c.source.as_ref());
    when.source.as_ref().or(all)
}
