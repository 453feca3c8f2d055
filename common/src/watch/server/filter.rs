//! What of a view a reader asked to see.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{Error, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::watch::Wire;

type Predicate<T> = dyn Fn(&T) -> bool + Send + Sync;

/// Which items, and which members of them. The default shows everything.
pub struct Filter<T> {
    shows: Option<Arc<Predicate<T>>>,
    members: Option<Arc<[String]>>,
}

impl<T> Default for Filter<T> {
    fn default() -> Self {
        Self {
            shows: None,
            members: None,
        }
    }
}

impl<T> Clone for Filter<T> {
    fn clone(&self) -> Self {
        Self {
            shows: self.shows.clone(),
            members: self.members.clone(),
        }
    }
}

impl<T: Wire> Filter<T> {
    /// Shows all items that satisfy `shows`.
    pub fn of(shows: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        Self {
            shows: Some(Arc::new(shows)),
            members: None,
        }
    }

    /// Leaves only these members of each item.
    #[must_use]
    pub fn with_members(mut self, members: impl IntoIterator<Item = String>) -> Self {
        self.members = Some(members.into_iter().collect());
        self
    }

    /// Whether `item` is shown.
    pub fn shows(&self, item: &T) -> bool {
        self.shows.as_ref().is_none_or(|shows| shows(item))
    }

    /// Those of `items` that are shown, in their wire form.
    pub(super) fn render<'a>(&'a self, items: impl Iterator<Item = &'a Arc<T>>) -> Rendered<'a, T> {
        let items = items.filter(|item| self.shows(item)).map(|i| &**i);
        Rendered {
            items: items.collect(),
            members: self.members.as_deref(),
        }
    }
}

/// Items in their wire form.
pub(super) struct Rendered<'a, T> {
    items: Vec<&'a T>,
    members: Option<&'a [String]>,
}

impl<T> Rendered<'_, T> {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T: Wire> Serialize for Rendered<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut seq = to.serialize_seq(Some(self.items.len()))?;
        for item in &self.items {
            match self.members {
                None => seq.serialize_element(item)?,
                Some(members) => seq.serialize_element(&Picked {
                    item: *item,
                    members,
                })?,
            }
        }
        seq.end()
    }
}

/// Some members of an item, in the item's own words.
struct Picked<'a, T> {
    item: &'a T,
    members: &'a [String],
}

impl<T: Wire> Serialize for Picked<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let whole = serde_json::to_string(self.item).map_err(S::Error::custom)?;
        let all: std::collections::BTreeMap<&str, &RawValue> =
            serde_json::from_str(&whole).map_err(S::Error::custom)?;
        let mut map = to.serialize_map(None)?;
        for member in self.members {
            if let Some(value) = all.get(member.as_str()) {
                map.serialize_entry(member, value)?;
            }
        }
        map.end()
    }
}
