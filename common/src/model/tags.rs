//! Sets of tags that keep the order in which they were given.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::{NameError, Tag};

/// A set of tags. Keeps the given order for people to read; an instance *qualifies* for a
/// backend when it [carries all](Tags::contains_all) of the backend's tags.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<Tag>")]
pub struct Tags(Arc<[Tag]>);

impl Tags {
    /// Reads `a,b,c`. Blanks around a tag are dropped, empty pieces are passed over.
    ///
    /// # Errors
    /// [`NameError`] for the first piece that is not a tag.
    pub fn parse_list(text: &str) -> Result<Self, NameError> {
        text.split(',')
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(Tag::new)
            .collect::<Result<Vec<_>, _>>()
            .map(Self::from)
    }

    /// Whether every tag of `wanted` is among these.
    pub fn contains_all(&self, wanted: &Tags) -> bool {
        wanted.iter().all(|tag| self.contains(tag.as_str()))
    }

    /// Whether `tag` is among these.
    pub fn contains(&self, tag: &str) -> bool {
        self.0.iter().any(|t| t.as_str() == tag)
    }

    /// Whether both hold the same tags, in whatever order.
    pub fn same_set(&self, other: &Tags) -> bool {
        self.len() == other.len() && self.contains_all(other)
    }

    /// The tags in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.0.iter()
    }

    /// How many tags there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A tag given twice counts once.
impl From<Vec<Tag>> for Tags {
    fn from(given: Vec<Tag>) -> Self {
        let mut kept: Vec<Tag> = Vec::with_capacity(given.len());
        for tag in given {
            if !kept.contains(&tag) {
                kept.push(tag);
            }
        }
        Self(kept.into())
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        Self::from(tags.into_iter().collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// `a,b,c`
impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, tag) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(tag.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &str) -> Tags {
        Tags::parse_list(list).unwrap()
    }

    #[test]
    fn a_superset_contains_all_and_order_does_not_matter() {
        assert!(tags("b,a,c").contains_all(&tags("a,b")));
        assert!(!tags("a").contains_all(&tags("a,b")));
        assert!(tags("a").contains_all(&Tags::default()));
        assert!(tags("a,b").same_set(&tags("b,a")));
        assert!(!tags("a,b").same_set(&tags("a")));
    }

    #[test]
    fn order_is_kept_and_a_double_counts_once() {
        assert_eq!(tags(" b, a,,b").to_string(), "b,a");
    }
}
