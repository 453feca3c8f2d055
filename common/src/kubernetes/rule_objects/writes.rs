//! A write of several rules: tried out as a whole, done, and undone when it fails half-way.
//!
//! A cluster has no transactions over several objects. Each object is changed only if it still
//! is in the version in which it was read. Others may see the steps.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};

use super::calls::{CallError, Mode, Objects};
use super::steps::{Done, Step, Terms, take};
use super::undo::{Touched, undo};
use crate::rule::Fault;

/// How many objects are read or written at once.
pub const AT_ONCE: usize = 8;

/// Why a write was not done. Nothing of it stands, except that after a call that was
/// [`CallError::Unavailable`] the outcome of a single step is open, and after
/// [`Partly`](Self::Partly) some of it does.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// These are no longer there.
    #[error("there is no rule with the id {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// The cluster does not take these rules.
    #[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Fault>),
    /// A rule is larger than the API server takes.
    #[error("{0}")]
    TooLarge(String),
    /// An object no longer says what it said when the write was planned.
    #[error("somebody else changed the rules meanwhile")]
    Moved,
    /// Others wrote all the time.
    #[error("too many others are writing")]
    Contended,
    /// A rule has no JSON form.
    #[error("a rule cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The API server did not do it.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It failed half-way, and what had been done could not all be undone.
    #[error("{cause}; what had been done by then could not be undone: {}", .left.join(", "))]
    Partly {
        /// Each rule that is not as it was before, and how it was left.
        left: Vec<String>,
        /// Why it failed.
        cause: Box<Self>,
    },
}

impl Objects {
    /// Tries out all `steps`. Nothing is done.
    ///
    /// # Errors
    /// All faults of all rules; else all rules that are unknown; else the first of what else is
    /// wrong.
    pub async fn try_out(&self, steps: &[Step], terms: &Terms<'_>) -> Result<(), NotWritten> {
        let trials = stream::iter(steps.to_vec())
            .map(|step| take(self, terms, step, Mode::DryRun))
            .buffered(AT_ONCE);
        let mut trials = std::pin::pin!(trials);
        let (mut faults, mut unknown) = (Vec::new(), Vec::new());
        while let Some(trial) = trials.next().await {
            match trial.map_err(|failed| failed.why) {
                Ok(_) => {}
                Err(NotWritten::Invalid(more)) => faults.extend(more),
                Err(NotWritten::Unknown(more)) => unknown.extend(more),
                Err(e) => return Err(e),
            }
        }
        match (faults.is_empty(), unknown.is_empty()) {
            (false, _) => Err(NotWritten::Invalid(faults)),
            (_, false) => Err(NotWritten::Unknown(unknown)),
            _ => Ok(()),
        }
    }

    /// Does all `steps`, after they were [tried out](Self::try_out) if there are several, or
    /// undoes what it did. Not cancel-safe: what has begun is neither done nor undone then.
    ///
    /// # Errors
    /// As [`try_out`](Self::try_out), or why the first step failed that did.
    pub async fn commit(
        &self,
        steps: Vec<Step>,
        terms: &Terms<'_>,
    ) -> Result<Vec<Done>, NotWritten> {
        let alone = steps.len() == 1;
        if !alone {
            self.try_out(&steps, terms).await?;
        }
        let broken = AtomicBool::new(false);
        let taken = stream::iter(steps).map(async |step| {
            // What has begun is waited for; nothing more is begun.
            if broken.load(Ordering::Relaxed) {
                return None;
            }
            let taken = take(self, terms, step, Mode::Commit).await;
            broken.fetch_or(taken.is_err(), Ordering::Relaxed);
            Some(taken)
        });
        let taken: Vec<_> = taken.buffered(AT_ONCE).collect().await;
        let (mut done, mut why, mut open) = (Vec::new(), None, Vec::new());
        for taken in taken.into_iter().flatten() {
            match taken.map_err(|failed| *failed) {
                Ok(one) => done.push(one),
                Err(failed) => {
                    if failed.open && !alone {
                        open.push(Touched {
                            step: failed.step,
                            uid: None,
                        });
                    }
                    why.get_or_insert(failed.why);
                }
            }
        }
        match why {
            None => Ok(done),
            Some(why) => Err(self.put_back(done, open, why).await),
        }
    }

    /// Undoes what was `done`, because of `why`. What is to be told of it.
    pub async fn undo(&self, done: Vec<Done>, why: NotWritten) -> NotWritten {
        self.put_back(done, Vec::new(), why).await
    }

    async fn put_back(&self, done: Vec<Done>, open: Vec<Touched>, why: NotWritten) -> NotWritten {
        let ours = done.into_iter().filter(|done| done.ours);
        let ours = ours.map(|done| Touched {
            uid: done.after.and_then(|after| after.metadata.uid),
            step: done.step,
        });
        let touched: Vec<Touched> = ours.chain(open).collect();
        if touched.is_empty() {
            return why;
        }
        let left = undo(self, touched).await;
        match left.is_empty() {
            true => why,
            false => NotWritten::Partly {
                left,
                cause: Box::new(why),
            },
        }
    }
}
