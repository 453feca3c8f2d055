//! What was made of files, and is made anew when they change: certificates are renewed while
//! the sidecar runs, by writing over the files or by exchanging a link, as mounted secrets are.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use a8_common::changes::Changes;
use a8_common::task::Stop;
use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{info, warn};

use super::TlsError;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;
/// How often the files are looked at even if nobody said that they changed.
const RECHECK: Duration = Duration::from_secs(5);

/// What is in one of the files.
pub(super) struct Content {
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    /// It cannot be used, for this reason.
    pub(super) fn refuse(&self, reason: impl ToString) -> TlsError {
        TlsError::File {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }
}

/// How files of certificates stand.
#[derive(Debug, Clone)]
pub struct Standing {
    /// When those in use were read.
    pub loaded: Instant,
    /// Why the files as they are now are not in use, if they are not.
    pub problem: Option<String>,
}

/// What the files are made into.
pub(super) type Make<T> = fn(&[Content]) -> Result<T, TlsError>;

/// Tells one state of the files from another, without keeping a copy of a key.
type Seen = Result<[u8; 32], String>;

/// Reads the files again when they change.
pub(super) struct Keeper<T> {
    files: Vec<PathBuf>,
    make: Make<T>,
    now: Arc<ArcSwap<T>>,
    seen: Seen,
    standing: watch::Sender<Standing>,
}

/// Makes something of `files`, which the keeper then keeps up to date.
///
/// # Errors
/// [`TlsError`] names the file that cannot be used.
pub(super) fn open<T>(
    files: Vec<PathBuf>,
    make: Make<T>,
) -> Result<(Arc<ArcSwap<T>>, Keeper<T>), TlsError> {
    let contents = read(&files)?;
    let now = Arc::new(ArcSwap::from_pointee(make(&contents)?));
    let (standing, _) = watch::channel(Standing {
        loaded: Instant::now(),
        problem: None,
    });
    let keeper = Keeper {
        seen: Ok(digest(&contents)),
        files,
        make,
        now: now.clone(),
        standing,
    };
    Ok((now, keeper))
}

impl<T: Send + Sync + 'static> Keeper<T> {
    /// How the files stand.
    pub(super) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Keeps up with the files until `stop` fires.
    pub(super) async fn run(mut self, stop: Stop) {
        stop.race(async {
            // Both notices and readings come after this, so that no change is missed between.
            let mut changes = Changes::of(&self.files, RECHECK);
            loop {
                self = self.look().await;
                changes.next().await;
            }
        })
        .await;
    }

    async fn look(mut self) -> Self {
        let (files, make) = (self.files.clone(), self.make);
        let known = self.seen.clone();
        let looked = tokio::task::spawn_blocking(move || look(&files, make, &known)).await;
        // A task of its own that fails is as good as nothing new.
        let Some((seen, made)) = looked.ok().flatten() else {
            return self;
        };
        self.seen = seen;
        let file = self.files.first().map(|file| file.display().to_string());
        match made {
            Ok(made) => {
                self.now.store(Arc::new(made));
                info!(file, "certificates loaded anew");
                self.standing.send_replace(Standing {
                    loaded: Instant::now(),
                    problem: None,
                });
            }
            Err(problem) => {
                warn!(problem, "the certificates that were there before stay");
                self.standing.send_modify(|s| s.problem = Some(problem));
            }
        }
        self
    }
}

/// What there is now, and what it makes; `None` when it was seen before.
fn look<T>(files: &[PathBuf], make: Make<T>, known: &Seen) -> Option<(Seen, Result<T, String>)> {
    let contents = read(files).map_err(|e| e.to_string());
    let seen = contents.as_deref().map(digest).map_err(Clone::clone);
    if seen == *known {
        return None;
    }
    let made = contents.and_then(|contents| make(&contents).map_err(|e| e.to_string()));
    Some((seen, made))
}

fn read(files: &[PathBuf]) -> Result<Vec<Content>, TlsError> {
    let one = |path: &PathBuf| {
        let mut content = Content {
            path: path.clone(),
            bytes: Vec::new(),
        };
        let read = File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut content.bytes));
        match read {
            Ok(n) if n as u64 > MAX_BYTES => {
                Err(content.refuse(format!("it has more than {MAX_BYTES} bytes")))
            }
            Ok(_) => Ok(content),
            Err(e) => Err(content.refuse(e)),
        }
    };
    files.iter().map(one).collect()
}

fn digest(contents: &[Content]) -> [u8; 32] {
    let mut all = Sha256::new();
    for content in contents {
        all.update((content.bytes.len() as u64).to_be_bytes());
        all.update(&content.bytes);
    }
    all.finalize().into()
}
