//! Rules that are candidates by path, found segment by segment.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use super::Compiled;
use super::list::List;
use crate::rule::path;
use crate::rule::route::Uri;

/// The index, and the rules that it was built of.
#[derive(Debug)]
pub(super) struct Paths<B> {
    rules: Vec<Arc<Compiled<B>>>,
    root: Place<B>,
}

/// One place in the tree of paths.
#[derive(Debug)]
struct Place<B> {
    /// Rules for just this path.
    exact: List<B>,
    /// Rules for this path and all below.
    prefix: List<B>,
    below: HashMap<Box<[u8]>, Place<B>>,
}

/// A place while its rules are being gathered.
struct Gathered<B> {
    exact: Vec<Arc<Compiled<B>>>,
    prefix: Vec<Arc<Compiled<B>>>,
    below: HashMap<Box<[u8]>, Gathered<B>>,
}

impl<B> Default for Gathered<B> {
    fn default() -> Self {
        Self {
            exact: Vec::new(),
            prefix: Vec::new(),
            below: HashMap::new(),
        }
    }
}

impl<B> Default for Paths<B> {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            root: Place::build(Gathered::default()),
        }
    }
}

impl<B> Paths<B> {
    /// An index of `rules`; that of `before` if it has just these.
    pub(super) fn build(rules: Vec<Arc<Compiled<B>>>, before: Option<&Arc<Self>>) -> Arc<Self> {
        let rules = List::sorted(rules);
        if let Some(before) = before
            && before.rules.len() == rules.len()
            && before
                .rules
                .iter()
                .zip(&rules)
                .all(|(a, b)| Arc::ptr_eq(a, b))
        {
            return before.clone();
        }
        let mut root = Gathered::default();
        for compiled in &rules {
            match compiled.rule.route().and_then(|route| route.uri.as_ref()) {
                Some(Uri::Path { path }) => {
                    root.at(path.segments()).exact.push(compiled.clone());
                }
                Some(Uri::Prefix { prefix, .. }) => {
                    root.at(prefix.prefix_segments())
                        .prefix
                        .push(compiled.clone());
                }
                None => {}
            }
        }
        Arc::new(Self {
            rules,
            root: Place::build(root),
        })
    }

    /// Calls `found` for each list of rules that wants `path`.
    pub(super) fn find<'a>(&'a self, path: &str, mut found: impl FnMut(&'a List<B>)) {
        if self.rules.is_empty() {
            return;
        }
        let mut place = &self.root;
        found(&place.prefix);
        for segment in path::segments(path) {
            match place.below.get(&*path::decoded(segment)) {
                Some(next) => place = next,
                None => return,
            }
            found(&place.prefix);
        }
        found(&place.exact);
    }
}

impl<B> Gathered<B> {
    fn at(&mut self, segments: impl Iterator<Item = impl Borrow<[u8]>>) -> &mut Self {
        segments.fold(self, |place, segment| {
            place.below.entry(segment.borrow().into()).or_default()
        })
    }
}

impl<B> Place<B> {
    fn build(gathered: Gathered<B>) -> Self {
        let below = gathered.below.into_iter();
        Self {
            exact: List::build(gathered.exact),
            prefix: List::build(gathered.prefix),
            below: below
                .map(|(name, place)| (name, Self::build(place)))
                .collect(),
        }
    }
}
