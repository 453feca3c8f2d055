//! A source whose last good state is kept on disk, for a start while its peer is away.
//!
//! The state is written some moments after it has changed, and when the source ends. At the
//! start the file is used only if the peer does not answer: as soon as the source reports a
//! problem, or is silent for a while. What the peer then says replaces it, by the rules that
//! hold for any state: within the same epoch as a difference, of another epoch as a new one.
//!
//! A disk that is full or cannot be written to is told once, and changes nothing else.

mod file;
mod record;
mod sealed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::{Link, Source};
use crate::task::Stop;
use crate::view::{Preload, Publisher, Snapshot, View};
use crate::watch::Wire;

pub use record::Record;
pub use sealed::{MAX_BYTES, ReadError};

/// When the state is written, and how long its peer is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Changes that come so soon after the first are written with it.
    pub gather: Duration,
    /// The least time between two writes.
    pub rest: Duration,
    /// How long a silent peer is waited for before the file is used.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(500),
            rest: Duration::from_secs(5),
            patience: Duration::from_secs(2),
        }
    }
}

/// Where a state is kept.
#[derive(Debug, Clone)]
pub struct Place {
    /// The folder, which is made if it is not there. It should be the sidecar's own.
    pub folder: PathBuf,
    /// Whose state it is: that of another origin is not used. It names no secrets.
    pub origin: String,
    /// When it is written and used.
    pub pace: Pace,
}

/// Keeps the state of `source` at `place`, in a file that is named after what it holds.
pub fn kept<T: Wire>(source: Box<dyn Source<T>>, place: Place) -> Box<dyn Source<T>> {
    Box::new(Kept { source, place })
}

struct Kept<T: Wire> {
    source: Box<dyn Source<T>>,
    place: Place,
}

#[async_trait]
impl<T: Wire> Source<T> for Kept<T> {
    async fn run(self: Box<Self>, out: Publisher<T>, link: watch::Sender<Link>, stop: Stop) {
        let Self { source, place } = *self;
        let (view, preload) = (out.view(), out.preload());
        let recall = recall(&place, preload, view.clone(), link.subscribe());
        let keep = keep(&place, view, &stop);
        // Each ends by itself when it is told to stop.
        tokio::join!(
            source.run(out, link, stop.clone()),
            async { stop.race(recall).await },
            keep
        );
    }
}

/// Uses what is kept, if the peer does not answer.
async fn recall<T: Wire>(
    place: &Place,
    preload: Preload<T>,
    mut view: View<T>,
    mut link: watch::Receiver<Link>,
) {
    let told = async {
        tokio::select! {
            loaded = view.loaded() => loaded,
            // Nobody is left to load anything when the channel has ended.
            trouble = link.wait_for(|link| link.problem.is_some()) => trouble.is_err(),
        }
    };
    if timeout(place.pace.patience, told).await == Ok(true) {
        return;
    }
    let (from, origin) = (place.clone(), place.origin.clone());
    let read = spawn_blocking(move || file::read::<T>(&from.folder, &origin)).await;
    match read {
        Ok(Ok(Some(snapshot))) => {
            let (items, epoch) = (snapshot.items.len(), snapshot.epoch.clone());
            if preload.put(snapshot) {
                let epoch = epoch.map(|epoch| epoch.to_string());
                info!(
                    what = T::LIST,
                    items, epoch, "goes by what was kept on disk"
                );
            }
        }
        Ok(Ok(None)) => {}
        Ok(Err(e)) => warn!(what = T::LIST, reason = %e, "what is kept on disk is not used"),
        Err(e) => warn!(what = T::LIST, reason = %e, "what is kept on disk cannot be read"),
    }
}

/// Writes what the view shows, as it changes, until `stop` fires.
async fn keep<T: Wire>(place: &Place, view: View<T>, stop: &Stop) {
    let mut updates = view.subscribe();
    let (mut troubled, mut written) = (false, None);
    let mut next = Instant::now();
    loop {
        let more = stop.race(async {
            updates.next().await?;
            sleep(place.pace.gather).await;
            sleep_until(next).await;
            Some(())
        });
        let go_on = matches!(more.await, Some(Some(())));
        while updates.ready().is_some() {}
        let snapshot = view.snapshot();
        let mark = (snapshot.epoch.clone(), snapshot.revision);
        if snapshot.is_loaded() && written.as_ref() != Some(&mark) {
            let outcome = write(place, snapshot).await;
            match (&outcome, troubled) {
                (Err(why), false) => warn!(
                    what = T::LIST, folder = %place.folder.display(), reason = why,
                    "the state cannot be kept on disk"
                ),
                (Ok(()), true) => info!(what = T::LIST, "the state is kept on disk again"),
                _ => {}
            }
            troubled = outcome.is_err();
            written = outcome.is_ok().then_some(mark);
            next = Instant::now() + place.pace.rest;
        }
        if !go_on {
            return;
        }
    }
}

async fn write<T: Wire>(place: &Place, snapshot: Arc<Snapshot<T>>) -> Result<(), String> {
    let to = place.clone();
    let written = spawn_blocking(move || file::write(&to.folder, &to.origin, &snapshot)).await;
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(e.to_string()),
        Err(e) => Err(e.to_string()),
    }
}

#[cfg(test)]
mod tests;
