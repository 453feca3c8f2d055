//! The lines of one outlet, each made once and shared by all who are sent it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use tracing::error;

use super::Filter;
use crate::model::Revision;
use crate::view::{Change, Snapshot};
use crate::watch::Wire;
use crate::watch::codec::Event;

/// How many lines of changes are kept. Watchers that keep up ask for the newest; one that
/// catches up has its lines made anew where they are gone.
const KEPT_CHANGES: usize = 32;

pub(super) struct Lines<T: Wire> {
    filter: Filter<T>,
    made: Mutex<Made<T>>,
}

/// Lines by what they were made from. The weak references keep an address from being used
/// again, but not the data behind it.
struct Made<T: Wire> {
    reset: Option<(Weak<Snapshot<T>>, Bytes)>,
    list: Option<(Weak<Snapshot<T>>, Bytes)>,
    changes: VecDeque<(Weak<Change<T>>, Option<Bytes>)>,
}

impl<T: Wire> Lines<T> {
    pub(super) fn new(filter: Filter<T>) -> Self {
        Self {
            filter,
            made: Mutex::new(Made {
                reset: None,
                list: None,
                changes: VecDeque::with_capacity(KEPT_CHANGES),
            }),
        }
    }

    /// The whole state as a line.
    pub(super) fn reset(&self, now: &Arc<Snapshot<T>>) -> Bytes {
        once(&mut self.made().reset, now, || {
            let Some(epoch) = &now.epoch else {
                return Bytes::new();
            };
            let items = self.filter.render(now.items.values());
            let revision = now.revision;
            let event: Event<'_, _, T::Id> = Event::Reset {
                epoch,
                revision,
                items,
            };
            line(&event)
        })
    }

    /// The whole state as a plain list.
    pub(super) fn list(&self, now: &Arc<Snapshot<T>>) -> Bytes {
        once(&mut self.made().list, now, || {
            let mut list = BytesMut::new();
            list.put(format!("{{\"{}\":", T::LIST).as_bytes());
            let mut list = list.writer();
            let items = self.filter.render(now.items.values());
            if let Err(e) = serde_json::to_writer(&mut list, &items) {
                error!(error = %e, "an item could not be written");
            }
            let mut list = list.into_inner();
            if T::LIST_HAS_REVISION {
                list.put(format!(",\"revision\":{}", now.revision).as_bytes());
            }
            list.put_u8(b'}');
            list.freeze()
        })
    }

    /// A transaction as a line; `None` when the filter hides all of it.
    pub(super) fn change(&self, change: &Arc<Change<T>>) -> Option<Bytes> {
        let key = Arc::downgrade(change);
        let mut made = self.made();
        if let Some((_, line)) = made.changes.iter().rev().find(|(k, _)| k.ptr_eq(&key)) {
            return line.clone();
        }
        let line = self.make(change);
        if made.changes.len() == KEPT_CHANGES {
            made.changes.pop_front();
        }
        made.changes.push_back((key, line.clone()));
        line
    }

    fn make(&self, change: &Change<T>) -> Option<Bytes> {
        let revision: Revision = change.revision;
        let hidden = change.upserts.iter().filter_map(|upsert| {
            let before = upsert.before.as_ref()?;
            let left = self.filter.shows(before) && !self.filter.shows(&upsert.item);
            left.then(|| upsert.item.id())
        });
        let removed = change.removes.iter();
        let removed = removed.filter(|item| self.filter.shows(item));
        let ids: Vec<T::Id> = removed
            .map(|item| item.id())
            .chain(hidden)
            .cloned()
            .collect();
        let items = self.filter.render(change.upserts.iter().map(|u| &u.item));
        if !items.is_empty() {
            return Some(line(&Event::Upsert {
                revision,
                items,
                ids: &ids,
            }));
        }
        let remove: Event<'_, (), _> = Event::Remove {
            revision,
            ids: &ids,
        };
        (!ids.is_empty()).then(|| line(&remove))
    }

    fn made(&self) -> MutexGuard<'_, Made<T>> {
        // What a panic may have left behind is a line too few, which is then made again.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bytes made from `of`, made now unless the slot has them.
fn once<S>(
    slot: &mut Option<(Weak<S>, Bytes)>,
    of: &Arc<S>,
    make: impl FnOnce() -> Bytes,
) -> Bytes {
    let key = Arc::downgrade(of);
    match slot {
        Some((known, bytes)) if known.ptr_eq(&key) => bytes.clone(),
        _ => {
            let bytes = make();
            *slot = Some((key, bytes.clone()));
            bytes
        }
    }
}

/// An item that cannot be written as JSON is a fault of ours; its readers are sent an empty
/// line, which makes them start over, rather than half of the truth.
fn line<Items: Serialize, Id: Serialize>(event: &Event<'_, Items, Id>) -> Bytes {
    event.to_line().unwrap_or_else(|e| {
        error!(error = %e, "a line could not be written");
        Bytes::from_static(b"\n")
    })
}
