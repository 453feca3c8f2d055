//! Says when files may have changed.
//!
//! What is watched are the folders of the files: editors put another file in the old one's place,
//! and a mounted ConfigMap exchanges a link beside it. Where the system's notices are not to
//! be had, or do not come (network mounts, a folder that is itself exchanged), time does it.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// A file that is being written makes many notices; it is read when they have been silent for
/// so long, or have gone on for a while.
const SETTLE: Duration = Duration::from_millis(50);
const MAX_SETTLES: u32 = 20;

/// Device and number of a folder: its name may come to mean another.
type Folder = (u64, u64);

/// Looks after some files.
pub struct Changes {
    folders: Vec<Watched>,
    recheck: Duration,
    noticed: Arc<Notify>,
}

/// A folder that some of the files are in.
struct Watched {
    folder: PathBuf,
    /// What notices, and the folder it was set on.
    watcher: Option<(RecommendedWatcher, Folder)>,
    warned: bool,
}

impl Changes {
    /// Looks after `files`, and says every `recheck` that they may have changed even if there
    /// was no notice of it.
    pub fn of(files: impl IntoIterator<Item = impl AsRef<Path>>, recheck: Duration) -> Self {
        let folders = files.into_iter().map(|file| folder(file.as_ref()));
        let folders: BTreeSet<_> = folders.collect();
        let mut changes = Self {
            folders: folders.into_iter().map(Watched::new).collect(),
            recheck,
            noticed: Arc::default(),
        };
        changes.watch();
        changes
    }

    /// Waits until one of the files may have changed.
    pub async fn next(&mut self) {
        if timeout(self.recheck, self.noticed.notified())
            .await
            .is_err()
        {
            self.watch();
            return;
        }
        sleep(SETTLE).await;
        for _ in 0..MAX_SETTLES {
            if timeout(SETTLE, self.noticed.notified()).await.is_err() {
                return;
            }
        }
    }

    fn watch(&mut self) {
        for folder in &mut self.folders {
            folder.watch(&self.noticed);
        }
    }
}

fn folder(file: &Path) -> PathBuf {
    let folder = match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    };
    folder.to_owned()
}

impl Watched {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            watcher: None,
            warned: false,
        }
    }

    fn watch(&mut self, noticed: &Arc<Notify>) {
        let now = std::fs::metadata(&self.folder).map(|folder| (folder.dev(), folder.ino()));
        match (&self.watcher, &now) {
            (Some((_, set_on)), Ok(now)) if set_on == now => return,
            _ => {}
        }
        self.watcher = match now
            .map_err(notify::Error::io)
            .and_then(|now| Ok((self.open(noticed)?, now)))
        {
            Ok(watcher) => Some(watcher),
            Err(e) if self.warned => {
                debug!(error = %e, "still no notices of changes");
                None
            }
            Err(e) => {
                self.warned = true;
                let folder = self.folder.display();
                warn!(%folder, error = %e, "no notices of changes, looking now and then");
                None
            }
        };
    }

    fn open(&self, noticed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
        let noticed = noticed.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(&event.kind)) {
                noticed.notify_one();
            }
        })?;
        watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}

/// Our own reading is noticed too, and must not make us read again.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
