//! The state in its file: the line of a watch that replaces everything.

use std::io;
use std::path::Path;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Serialize, Serializer};

use super::sealed::{self, Damage, ReadError};
use crate::view::Snapshot;
use crate::watch::Wire;
use crate::watch::codec::{self, Event, Message};

/// Writes a state: all of it or, when this fails, nothing.
///
/// # Errors
/// What the system says, and when it is too large.
pub(super) fn write<T: Wire>(
    folder: &Path,
    origin: &str,
    snapshot: &Snapshot<T>,
) -> io::Result<()> {
    let Some(epoch) = &snapshot.epoch else {
        return Ok(());
    };
    let state: Event<'_, _, T::Id> = Event::Reset {
        epoch,
        revision: snapshot.revision,
        items: Items(&snapshot.items),
    };
    sealed::write(folder, T::LIST, origin, |to| {
        Ok(serde_json::to_writer(to, &state)?)
    })
}

/// Reads a state; `None` when nothing was kept.
///
/// # Errors
/// [`ReadError`].
pub(super) fn read<T: Wire>(folder: &Path, origin: &str) -> Result<Option<Snapshot<T>>, ReadError> {
    sealed::read(folder, T::LIST, origin, |line| {
        match codec::read::<T>(line).map_err(Damage::Line)? {
            Message::Reset {
                epoch,
                revision,
                items,
            } => {
                let items = items.items.into_iter();
                Ok(Snapshot {
                    epoch: Some(epoch),
                    revision,
                    items: items.map(|item| (item.id().clone(), item)).collect(),
                })
            }
            _ => Err(Damage::Other("it holds no state")),
        }
    })
}

/// The items, without a list of them beside.
struct Items<'a, T: Wire>(&'a OrdMap<T::Id, Arc<T>>);

impl<T: Wire> Serialize for Items<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.values().map(|item| &**item))
    }
}
