//! Rules in the order in which they are tried, and the merging of several such lists.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Compiled;
use super::index::{Index, Positions};
use crate::rule::decide::Request;

/// Below this an index costs more than it saves.
const INDEXED_FROM: usize = 8;

/// Which rules of a list a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rule) enum Reach {
    /// Those that the index does not rule out.
    Likely,
    /// All of them.
    All,
}

/// Rules in order.
#[derive(Debug)]
pub(super) struct List<B> {
    rules: Box<[Arc<Compiled<B>>]>,
    index: Option<Index>,
}

impl<B> Default for List<B> {
    fn default() -> Self {
        Self {
            rules: Box::default(),
            index: None,
        }
    }
}

impl<B> List<B> {
    /// `rules` in the order in which they are tried.
    pub(super) fn sorted(mut rules: Vec<Arc<Compiled<B>>>) -> Vec<Arc<Compiled<B>>> {
        rules.sort_unstable_by(|a, b| a.rule.order(&b.rule));
        rules
    }

    /// A list of `rules`, which are sorted.
    pub(super) fn build(rules: Vec<Arc<Compiled<B>>>) -> Self {
        let index = (rules.len() >= INDEXED_FROM).then(|| Index::build(&rules));
        Self {
            rules: rules.into(),
            index,
        }
    }

    /// Whether this is the list of just these.
    pub(super) fn is_of(&self, rules: &[Arc<Compiled<B>>]) -> bool {
        self.rules.len() == rules.len()
            && self.rules.iter().zip(rules).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Some lists of rules, merged into the one order. Nothing is sorted ahead: only as far as
/// somebody asks is the next rule looked for.
pub(in crate::rule) struct Candidates<'a, B> {
    cursors: SmallVec<[Cursor<'a, B>; 4]>,
    last: Option<&'a Arc<Compiled<B>>>,
}

impl<B> Default for Candidates<'_, B> {
    fn default() -> Self {
        Self {
            cursors: SmallVec::new(),
            last: None,
        }
    }
}

/// A place in a list.
struct Cursor<'a, B> {
    rules: &'a [Arc<Compiled<B>>],
    /// Which of them; `None` for all.
    picked: Option<Positions<'a>>,
    /// How many are past.
    past: usize,
}

impl<'a, B> Cursor<'a, B> {
    fn peek(&self) -> Option<&'a Arc<Compiled<B>>> {
        let at = match &self.picked {
            None => self.past,
            Some(positions) => *positions.as_slice().get(self.past)? as usize,
        };
        self.rules.get(at)
    }
}

impl<'a, B> Candidates<'a, B> {
    pub(super) fn add(&mut self, list: &'a List<B>, request: &Request<'_>, reach: Reach) {
        let rules = &*list.rules;
        let mut push = |picked| {
            let cursor = Cursor {
                rules,
                picked,
                past: 0,
            };
            if cursor.peek().is_some() {
                self.cursors.push(cursor);
            }
        };
        match &list.index {
            Some(index) if reach == Reach::Likely => {
                index.find(request, |positions| push(Some(positions)));
            }
            _ => push(None),
        }
    }
}

impl<'a, B> Iterator for Candidates<'a, B> {
    type Item = &'a Compiled<B>;

    fn next(&mut self) -> Option<&'a Compiled<B>> {
        loop {
            let heads = self.cursors.iter_mut().filter_map(|c| Some((c.peek()?, c)));
            let (first, cursor) = heads.min_by(|(a, _), (b, _)| a.rule.order(&b.rule))?;
            cursor.past += 1;
            // A header that has the same value twice leads to the same rules twice.
            if !self.last.is_some_and(|last| Arc::ptr_eq(last, first)) {
                self.last = Some(first);
                return Some(first);
            }
        }
    }
}
