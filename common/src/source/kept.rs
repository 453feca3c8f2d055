//! A source whose last good state is kept on disk, for a start while its peer is away.
//!
//! The state is written some moments after it has changed, and when the source ends. At the
//! start the file is used only if the peer does not answer: as soon as the source reports a
//! problem, or is silent for a while. What the peer then says replaces it, by the rules that
//! hold for any state: within the same epoch as a difference, of another epoch as a new one.
//!
//! A peer that has forgotten everything is no reason to forget it, too: the state of another
//! epoch than that of the file is written only after a while, in which it fills again.
//!
//! A disk that is full or cannot be written to is told once, tried again, and changes nothing
//! else.

mod file;
mod lives;
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

use self::lives::Lives;
use super::{Link, Source};
use crate::task::Stop;
use crate::view::{Preload, Publisher, Snapshot, View};
use crate::watch::Wire;

pub use record::Record;
pub use sealed::{MAX_BYTES, ReadError};

/// After how long what could not be written is written again, although nothing has changed.
const AGAIN: Duration = Duration::from_secs(10);

/// When the state is written, and how long its peer is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Changes that come so soon after the first are written with it.
    pub gather: Duration,
    /// The least time between two writes.
    pub rest: Duration,
    /// How long a silent peer is waited for before the file is used.
    pub patience: Duration,
    /// For how long the state of another epoch does not take the place of what is kept: as
    /// long as readers hold what that epoch does not know.
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(500),
            rest: Duration::from_secs(5),
            patience: Duration::from_secs(2),
            grace: Duration::from_secs(30),
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
        let told = link.subscribe();
        let keeping = async {
            // Also when it is told to stop: what is there decides what is written at the end.
            let found = find::<T>(&place).await;
            let epoch = found.as_ref().and_then(|found| found.epoch.clone());
            let recall = recall(&place, found, preload, view.clone(), told);
            let keep = keep(&place, Lives::new(epoch), view, &stop);
            tokio::join!(async { stop.race(recall).await }, keep);
        };
        // Each ends by itself when it is told to stop.
        tokio::join!(source.run(out, link, stop.clone()), keeping);
    }
}

/// What is kept, if it can be used; what cannot is told in the log.
async fn find<T: Wire>(place: &Place) -> Option<Snapshot<T>> {
    let from = place.clone();
    let read = spawn_blocking(move || file::read::<T>(&from.folder, &from.origin)).await;
    match read {
        Ok(Ok(found)) => found,
        Ok(Err(e)) => {
            warn!(what = T::LIST, reason = %e, "what is kept on disk is not used");
            None
        }
        Err(e) => {
            warn!(what = T::LIST, reason = %e, "what is kept on disk cannot be read");
            None
        }
    }
}

/// Uses what was `found`, if the peer does not answer.
async fn recall<T: Wire>(
    place: &Place,
    found: Option<Snapshot<T>>,
    preload: Preload<T>,
    mut view: View<T>,
    mut link: watch::Receiver<Link>,
) {
    let Some(found) = found else {
        return;
    };
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
    let (items, epoch) = (found.items.len(), found.epoch.clone());
    if preload.put(found) {
        let epoch = epoch.map(|epoch| epoch.to_string());
        info!(
            what = T::LIST,
            items, epoch, "goes by what was kept on disk"
        );
    }
}

/// Writes what the view shows, as it changes, until `stop` fires.
async fn keep<T: Wire>(place: &Place, mut lives: Lives, view: View<T>, stop: &Stop) {
    let pace = place.pace;
    let mut updates = view.subscribe();
    let (mut troubled, mut written) = (false, None);
    let mut next = Instant::now();
    // When it is written without news, being put off or having failed.
    let mut due = None;
    loop {
        let more = stop.race(async {
            tokio::select! {
                update = updates.next() => drop(update?),
                () = sleep_until(due.unwrap_or(next)), if due.is_some() => {}
            }
            sleep(pace.gather).await;
            sleep_until(next).await;
            Some(())
        });
        let go_on = matches!(more.await, Some(Some(())));
        while updates.ready().is_some() {}
        let snapshot = view.snapshot();
        let mark = (snapshot.epoch.clone(), snapshot.revision);
        due = None;
        if let Some(epoch) = &mark.0
            && written.as_ref() != Some(&mark)
        {
            due = lives.put_off(epoch, pace.grace);
            if due.is_none() {
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
                next = Instant::now() + pace.rest;
                due = troubled.then(|| next + AGAIN);
                written = outcome.is_ok().then_some(mark);
            }
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
