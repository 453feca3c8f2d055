//! Applies what a server tells to the view, and knows where the view stands in the server's
//! history.
//!
//! An item that cannot be read keeps the form in which it was last understood, as long as the
//! server goes on to list it.

use std::sync::Arc;

use http::HeaderValue;

use crate::model::{Epoch, Revision};
use crate::view::{Item, Publisher, View};
use crate::watch::codec::Batch;
use crate::watch::{MAX_ITEMS, Wire};

/// The server holds more than is taken.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_ITEMS} items")]
pub(super) struct TooMany;

/// A plain list as it came.
pub(super) struct Listed<T: Item> {
    /// Which of the servers told it.
    pub(super) index: usize,
    /// Its entity tag, and what that says when the server is one of ours.
    pub(super) tag: Option<HeaderValue>,
    pub(super) place: Option<(Epoch, Revision)>,
    /// The revision named in the list.
    pub(super) revision: Option<Revision>,
    pub(super) items: Batch<T>,
}

pub(super) struct Keeper<T: Item> {
    out: Publisher<T>,
    view: View<T>,
    /// Where a watch can go on from.
    place: Option<(Epoch, Revision)>,
    /// The tag of the last list, with the server that gave it.
    tag: Option<(usize, HeaderValue)>,
    /// The life that we took the last list of a server without epochs for.
    life: Option<Life>,
}

/// A server without epochs, from the first list to the first doubt that it is still the same.
struct Life {
    index: usize,
    epoch: Epoch,
    revision: Revision,
}

impl<T: Wire> Keeper<T> {
    pub(super) fn new(out: Publisher<T>) -> Self {
        let view = out.view();
        Self {
            out,
            view,
            place: None,
            tag: None,
            life: None,
        }
    }

    /// Where a watch can go on from.
    pub(super) fn place(&self) -> Option<&(Epoch, Revision)> {
        self.place.as_ref()
    }

    /// What to send as `If-None-Match` to the server at `index`.
    pub(super) fn tag(&self, index: usize) -> Option<HeaderValue> {
        let (of, tag) = self.tag.as_ref()?;
        (*of == index).then(|| tag.clone())
    }

    /// The next stream is to begin with the whole state.
    pub(super) fn forget_place(&mut self) {
        self.place = None;
    }

    /// The connection was lost: what comes next may be another life of the server.
    pub(super) fn interrupted(&mut self) {
        self.life = None;
        self.tag = None;
    }

    /// Takes the whole state.
    pub(super) fn reset(
        &mut self,
        epoch: &Epoch,
        revision: Revision,
        items: Batch<T>,
    ) -> Result<(), TooMany> {
        let items = self.merged(items)?;
        self.out.replace(epoch, revision, items);
        self.place = Some((epoch.clone(), revision));
        self.tag = None;
        self.life = None;
        Ok(())
    }

    /// Takes one transaction.
    pub(super) fn change(
        &mut self,
        revision: Revision,
        items: Batch<T>,
        ids: &[T::Id],
    ) -> Result<(), TooMany> {
        let held = self.view.snapshot().items.len();
        if held + items.items.len() > MAX_ITEMS + ids.len() {
            return Err(TooMany);
        }
        self.out.apply(revision, items.items, ids);
        self.moved(revision);
        Ok(())
    }

    /// Nothing up to `revision` is missing.
    pub(super) fn bookmark(&mut self, revision: Revision) {
        if self.view.snapshot().revision < revision {
            self.out.apply(revision, vec![], &[]);
        }
        self.moved(revision);
    }

    /// Takes a plain list.
    pub(super) fn list(&mut self, list: Listed<T>) -> Result<(), TooMany> {
        let Listed {
            index,
            tag,
            place,
            revision,
            items,
        } = list;
        match place {
            Some((epoch, revision)) => self.reset(&epoch, revision, items)?,
            None => self.list_without_epoch(index, revision, items)?,
        }
        self.tag = tag.map(|tag| (index, tag));
        Ok(())
    }

    /// The servers of the original know no epochs, and those for instances no revisions. They
    /// lose all they know when they restart, so one that may have done so is given a new
    /// epoch: then whoever reads the view takes what is missing for lost and not for gone.
    fn list_without_epoch(
        &mut self,
        index: usize,
        told: Option<Revision>,
        items: Batch<T>,
    ) -> Result<(), TooMany> {
        let items = self.merged(items)?;
        let now = self.view.snapshot();
        let kept = items
            .iter()
            .filter(|i| now.items.contains_key(i.id()))
            .count();
        let unchanged = items.len() == now.items.len()
            && items.iter().all(|item| {
                let held = now.items.get(item.id());
                held.is_some_and(|held| Arc::ptr_eq(held, item))
            });
        let life = self.life.take().filter(|life| {
            let plausible = match told {
                Some(told) => told > life.revision || (told == life.revision && unchanged),
                None => kept * 2 >= now.items.len(),
            };
            life.index == index && plausible
        });
        let (epoch, revision) = match (life, told) {
            (Some(life), Some(told)) => (life.epoch, told),
            (Some(life), None) => (
                life.epoch,
                Revision(life.revision.0 + u64::from(!unchanged)),
            ),
            (None, told) => (Epoch::fresh(), told.unwrap_or(Revision(1))),
        };
        self.out.replace(&epoch, revision, items);
        self.life = Some(Life {
            index,
            epoch,
            revision,
        });
        self.place = None;
        Ok(())
    }

    fn moved(&mut self, to: Revision) {
        if let Some((_, revision)) = &mut self.place {
            *revision = to.max(*revision);
        }
    }

    /// The items to hold: what is not new as it is held already, what cannot be read as it
    /// was last understood.
    fn merged(&self, batch: Batch<T>) -> Result<Vec<Arc<T>>, TooMany> {
        let now = self.view.snapshot();
        let unreadable = batch.unreadable.iter().filter_map(|u| u.id.as_ref());
        let last_understood = unreadable.filter_map(|id| now.items.get(id)).cloned();
        let items = batch
            .items
            .into_iter()
            .map(|item| match now.items.get(item.id()) {
                Some(held) if held.same(&item) => held.clone(),
                _ => item,
            });
        let items: Vec<_> = last_understood.chain(items).collect();
        match items.len() > MAX_ITEMS {
            true => Err(TooMany),
            false => Ok(items),
        }
    }
}
