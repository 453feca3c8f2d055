//! One reader's way through the updates of a view.

use std::sync::Arc;

use super::{Change, Item, Snapshot, View};
use crate::model::{Epoch, Revision};

/// What a reader is told.
pub enum Update<T: Item> {
    /// Forget what you had; this is the whole state.
    Reset(Arc<Snapshot<T>>),
    /// The next transaction.
    Change(Arc<Change<T>>),
}

/// A reader's place in a view. It holds no queue: a slow reader costs nothing, and one that
/// fell behind the kept history is given a [`Update::Reset`].
pub struct Subscription<T: Item> {
    view: View<T>,
    at: Option<(Epoch, Revision)>,
    /// The life of the data in which this reader may be ahead of the view.
    ahead: Option<u64>,
}

impl<T: Item> Subscription<T> {
    pub(super) fn new(view: View<T>, at: Option<(Epoch, Revision)>) -> Self {
        Self {
            view,
            at,
            ahead: None,
        }
    }

    /// A reader that knows more than the view, which is behind and will come to know it.
    pub(super) fn ahead(view: View<T>, at: (Epoch, Revision)) -> Self {
        let ahead = Some(view.shared.history().lives());
        let at = Some(at);
        Self { view, at, ahead }
    }

    /// The next update; waits for one. `None` when the writer is gone.
    ///
    /// Cancel-safe: an update is either returned or still to come.
    pub async fn next(&mut self) -> Option<Update<T>> {
        loop {
            if let Some(update) = self.ready() {
                return Some(update);
            }
            self.view.state.changed().await.ok()?;
        }
    }

    /// The revision up to which this reader has been told.
    pub fn revision(&self) -> Option<Revision> {
        self.at.as_ref().map(|(_, revision)| *revision)
    }

    /// The next update if there is one now.
    pub fn ready(&mut self) -> Option<Update<T>> {
        // Marked as seen before the history is read: what comes later wakes us again.
        let now = self.view.state.borrow_and_update().clone();
        let epoch = now.epoch.clone()?;
        let next = match &self.at {
            Some((e, revision)) if *e == epoch => {
                let history = self.view.shared.history();
                let same_life = self.ahead.is_none_or(|life| life == history.lives());
                match *revision <= now.revision {
                    true if same_life => history.after(e, *revision).ok(),
                    false if same_life && self.ahead.is_some() => Some(None),
                    _ => None,
                }
            }
            _ => None,
        };
        match next {
            Some(Some(change)) => {
                self.at = Some((epoch, change.revision));
                Some(Update::Change(change))
            }
            Some(None) => None,
            None => {
                self.ahead = None;
                self.at = Some((epoch, now.revision));
                Some(Update::Reset(now))
            }
        }
    }
}
