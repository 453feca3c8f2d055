//! What a registry or a controller hands to readers of one namespace: a stream of changes or
//! a plain list, both from one [`View`].
//!
//! An [`Outlet`] is a view seen through a [`Filter`]. Whoever asks for the same should share
//! one: its lines are made once, however many watch. A watcher costs a place in the view and
//! the line it is being sent, never a queue; one that is too slow is given the whole state.

mod end;
mod filter;
mod lines;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, sleep_until};

use super::codec::Event;
use super::{BOOKMARK_INTERVAL, NDJSON, Wire, etag};
use crate::model::{Epoch, Revision};
use crate::view::{Subscription, Update, View};
use lines::Lines;

pub use end::End;
pub use filter::Filter;

/// The source has not loaded yet: there is nothing that could be told. Ask again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state has not been loaded yet")]
pub struct NotLoaded;

/// Why `epoch` and `revision` do not name a place to go on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("revision must be a whole number, not {given:?}")]
pub struct PlaceError {
    given: String,
}

/// Where a watcher was when it was last told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The life of the data.
    pub epoch: Epoch,
    /// The last revision told.
    pub revision: Revision,
    /// Whether the source is known to have come to that revision.
    sure: bool,
}

impl Place {
    /// Reads the query's members `epoch` and `revision`. A revision without its epoch says
    /// nothing, nor does an epoch alone: such a watcher starts with the whole state.
    ///
    /// # Errors
    /// [`PlaceError`] when the revision is no number.
    pub fn parse(epoch: Option<&str>, revision: Option<&str>) -> Result<Option<Self>, PlaceError> {
        let revision = revision
            .map(|text| {
                text.parse().map(Revision).map_err(|_| PlaceError {
                    given: text.chars().take(64).collect(),
                })
            })
            .transpose()?;
        Ok(epoch.zip(revision).map(|(epoch, revision)| Self {
            epoch: Epoch::named(epoch),
            revision,
            sure: false,
        }))
    }
}

/// A view, seen through a filter, for any number of readers. Clones share their lines.
pub struct Outlet<T: Wire> {
    view: View<T>,
    lines: Arc<Lines<T>>,
}

impl<T: Wire> Clone for Outlet<T> {
    fn clone(&self) -> Self {
        Self {
            view: self.view.clone(),
            lines: self.lines.clone(),
        }
    }
}

impl<T: Wire> Outlet<T> {
    /// What `filter` shows of `view`.
    pub fn new(view: View<T>, filter: Filter<T>) -> Self {
        Self {
            view,
            lines: Arc::new(Lines::new(filter)),
        }
    }

    /// Looks whether `place` can be gone on from though it is ahead of the view: as it is for a
    /// moment when its watcher comes from another server over the same source, or for as long
    /// as nothing happens in its namespace. `newest` asks the source how far it is. One that
    /// is away is trusted to have been there: to begin anew would cost every watcher its state
    /// at the worst moment.
    pub async fn locate<E>(
        &self,
        place: &mut Place,
        newest: impl Future<Output = Result<Revision, E>>,
    ) {
        let now = self.view.snapshot();
        if now.epoch.as_ref() == Some(&place.epoch) && place.revision > now.revision {
            place.sure = newest.await.map_or(true, |newest| newest >= place.revision);
        }
    }

    /// The reply to a watch: a stream that goes on from `from`, or begins with the whole
    /// state, until `end` or until the view's writer goes.
    ///
    /// # Errors
    /// [`NotLoaded`] before the view has been loaded.
    pub fn watch(&self, from: Option<&Place>, end: impl Into<End>) -> Result<Response, NotLoaded> {
        let headers = [
            (header::CONTENT_TYPE, NDJSON),
            (header::CACHE_CONTROL, "no-store"),
            // Proxies such as nginx otherwise keep lines back until a buffer is full.
            (header::HeaderName::from_static("x-accel-buffering"), "no"),
        ];
        let watcher = self.watcher(from, end.into())?;
        let lines = stream::unfold(watcher, |mut watcher| async move {
            let line = watcher.next().await?;
            Some((Ok::<_, std::convert::Infallible>(line), watcher))
        });
        Ok((headers, Body::from_stream(lines)).into_response())
    }

    /// The reply to a plain GET: the list, or 304 when `headers` say that the caller has it.
    ///
    /// # Errors
    /// [`NotLoaded`] before the view has been loaded.
    pub fn list(&self, headers: &HeaderMap) -> Result<Response, NotLoaded> {
        let now = self.view.snapshot();
        if !now.is_loaded() {
            return Err(NotLoaded);
        }
        etag::answer(&now, headers, || {
            let json = HeaderValue::from_static("application/json");
            let list = self.lines.list(&now);
            Ok(([(header::CONTENT_TYPE, json)], Body::from(list)).into_response())
        })
    }

    fn watcher(&self, from: Option<&Place>, end: End) -> Result<Watcher<T>, NotLoaded> {
        if !self.view.snapshot().is_loaded() {
            return Err(NotLoaded);
        }
        let subscription = match from {
            Some(place) if place.sure => self.view.resume_ahead(&place.epoch, place.revision),
            Some(place) => self.view.resume(&place.epoch, place.revision),
            None => self.view.subscribe(),
        };
        Ok(Watcher {
            lines: self.lines.clone(),
            subscription,
            end,
            bookmark_due: Instant::now(),
        })
    }
}

/// One reader's stream.
struct Watcher<T: Wire> {
    lines: Arc<Lines<T>>,
    subscription: Subscription<T>,
    end: End,
    bookmark_due: Instant,
}

impl<T: Wire> Watcher<T> {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let line = loop {
            // Changes that the filter hides must not put off the bookmark for ever, but
            // whatever there is to tell at the start is told before the first one.
            let update = tokio::select! {
                biased;
                () = self.end.wait() => return None,
                update = self.subscription.next() => update?,
                () = sleep_until(self.bookmark_due) => break self.bookmark()?,
            };
            let line = match update {
                Update::Reset(now) => Some(self.lines.reset(&now)),
                Update::Change(change) => self.lines.change(&change),
            };
            match line {
                Some(line) => break line,
                None if self.bookmark_due < Instant::now() => break self.bookmark()?,
                None => {}
            }
        };
        self.bookmark_due = Instant::now() + BOOKMARK_INTERVAL;
        Some(line)
    }

    fn bookmark(&self) -> Option<Bytes> {
        let revision = self.subscription.revision()?;
        let event: Event<'_, (), ()> = Event::Bookmark { revision };
        event.to_line().ok()
    }
}

#[cfg(test)]
mod tests;
