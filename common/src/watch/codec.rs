//! The form of one line. [`Event`] is what a server writes, [`Message`] what a client reads.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{MAX_ITEMS, Wire};
use crate::model::{Epoch, Revision};
use crate::view::Item;

/// A line to be written; what the lines mean is told in [`super`].
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "UPPERCASE")]
pub enum Event<'a, Items, Id> {
    /// The whole state.
    Reset {
        /// The life of the data.
        epoch: &'a Epoch,
        /// The revision of the state.
        revision: Revision,
        /// All items.
        items: Items,
    },
    /// A transaction that sets items, and perhaps takes others away.
    Upsert {
        /// The revision it led to.
        revision: Revision,
        /// Items added or replaced.
        items: Items,
        /// Items taken away.
        #[serde(skip_serializing_if = "<[Id]>::is_empty")]
        ids: &'a [Id],
    },
    /// A transaction that only takes items away.
    Remove {
        /// The revision it led to.
        revision: Revision,
        /// Items taken away.
        ids: &'a [Id],
    },
    /// Nothing up to this revision is missing.
    Bookmark {
        /// How far the reader has been told.
        revision: Revision,
    },
}

impl<Items: Serialize, Id: Serialize> Event<'_, Items, Id> {
    /// The line, its end included.
    ///
    /// # Errors
    /// When an item cannot be written as JSON.
    pub fn to_line(&self) -> serde_json::Result<Bytes> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line.into())
    }
}

/// A line as read.
#[derive(Debug)]
pub enum Message<T: Item> {
    /// Replaces everything.
    Reset {
        /// The life of the data.
        epoch: Epoch,
        /// The revision of the state.
        revision: Revision,
        /// All items.
        items: Batch<T>,
    },
    /// One transaction.
    Change {
        /// The revision it led to.
        revision: Revision,
        /// Items added or replaced.
        items: Batch<T>,
        /// Items taken away.
        ids: Vec<T::Id>,
    },
    /// Nothing up to this revision is missing.
    Bookmark {
        /// How far the stream has come.
        revision: Revision,
    },
}

/// Items, those that could be read and those that could not.
#[derive(Debug)]
pub struct Batch<T: Item> {
    /// What could be read.
    pub items: Vec<Arc<T>>,
    /// What could not.
    pub unreadable: Vec<Unreadable<T::Id>>,
}

/// An item that could not be read. The rest of its line is good.
#[derive(Debug)]
pub struct Unreadable<Id> {
    /// Its id, where at least that could be read.
    pub id: Option<Id>,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a line could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not the JSON that was expected.
    #[error("not a line of a watch: {0}")]
    Json(#[from] serde_json::Error),
    /// A type of line that this version does not know.
    #[error("a line of the unknown type {0:?}")]
    Type(String),
    /// A member that the type needs is missing.
    #[error("a {kind} line without {member}")]
    Missing {
        /// The line's type.
        kind: &'static str,
        /// What it lacks.
        member: &'static str,
    },
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    epoch: Option<Epoch>,
    revision: Option<Revision>,
    #[serde(borrow)]
    items: Option<Raw<'a>>,
    #[serde(borrow)]
    ids: Option<Raw<'a>>,
}

/// Reads one line.
///
/// # Errors
/// [`LineError`] when the line as a whole is not understood. Single items that are not are
/// told apart in their [`Batch`].
pub fn read<T: Wire>(line: &[u8]) -> Result<Message<T>, LineError> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    let kind = match &*line.kind {
        "RESET" => "RESET",
        "UPSERT" => "UPSERT",
        "REMOVE" => "REMOVE",
        "BOOKMARK" => "BOOKMARK",
        other => return Err(LineError::Type(other.chars().take(64).collect())),
    };
    let missing = |member| LineError::Missing { kind, member };
    let revision = line.revision.ok_or(missing("revision"))?;
    let ids = line.ids.map(Raw::ids).transpose()?;
    Ok(match kind {
        "RESET" => Message::Reset {
            epoch: line.epoch.ok_or(missing("epoch"))?,
            revision,
            items: line.items.ok_or(missing("items"))?.batch(),
        },
        "UPSERT" => Message::Change {
            revision,
            items: line.items.ok_or(missing("items"))?.batch(),
            ids: ids.unwrap_or_default(),
        },
        "REMOVE" => Message::Change {
            revision,
            items: line.items.unwrap_or_default().batch(),
            ids: ids.ok_or(missing("ids"))?,
        },
        _ => Message::Bookmark { revision },
    })
}

/// The members of a JSON array, unread; at most [`MAX_ITEMS`].
#[derive(Default)]
pub(super) struct Raw<'a>(Vec<&'a RawValue>);

impl Raw<'_> {
    pub(super) fn batch<T: Wire>(self) -> Batch<T> {
        let mut batch = Batch {
            items: Vec::with_capacity(self.0.len()),
            unreadable: Vec::new(),
        };
        for raw in self.0 {
            match serde_json::from_str(raw.get()) {
                Ok(item) => batch.items.push(Arc::new(item)),
                Err(e) => batch.unreadable.push(Unreadable {
                    id: id_of(raw),
                    reason: e.to_string().chars().take(256).collect(),
                }),
            }
        }
        batch
    }

    fn ids<Id: serde::de::DeserializeOwned>(self) -> serde_json::Result<Vec<Id>> {
        self.0
            .iter()
            .map(|raw| serde_json::from_str(raw.get()))
            .collect()
    }
}

fn id_of<Id: serde::de::DeserializeOwned>(raw: &RawValue) -> Option<Id> {
    #[derive(Deserialize)]
    struct OnlyId<Id> {
        id: Id,
    }
    serde_json::from_str::<OnlyId<Id>>(raw.get())
        .ok()
        .map(|only| only.id)
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bounded;

        impl<'de> Visitor<'de> for Bounded {
            type Value = Raw<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an array of at most {MAX_ITEMS} members")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw<'de>, A::Error> {
                let mut members = Vec::new();
                while members.len() < MAX_ITEMS {
                    match seq.next_element()? {
                        Some(raw) => members.push(raw),
                        None => return Ok(Raw(members)),
                    }
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(Raw(members)),
                    Some(_) => Err(serde::de::Error::invalid_length(MAX_ITEMS + 1, &self)),
                }
            }
        }

        from.deserialize_seq(Bounded)
    }
}

#[cfg(test)]
mod tests;
