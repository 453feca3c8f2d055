//! Undoing a write that failed half-way.
//!
//! It goes by what is there, not by what was answered: the outcome of a call that was not
//! answered is open. What others have changed since is theirs and stays.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use kube::core::DynamicObject;
use tokio::time::sleep;
use tracing::{error, warn};

use super::calls::{CallError, Mode, Objects};
use super::steps::Step;
use super::writes::AT_ONCE;
use super::{made_again, put_back, says};

/// How often one object is tried to be put back.
const MAX_ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A step that was, or may have been, done.
pub(super) struct Touched {
    pub(super) step: Step,
    /// The uid of the object that it made or changed, where it is known.
    pub(super) uid: Option<String>,
}

/// Puts back what was `touched`. What could not be, and how it was left.
pub(super) async fn undo(objects: &Objects, touched: Vec<Touched>) -> Vec<String> {
    let count = touched.len();
    let put_back = stream::iter(touched).map(|one| async move { one.put_back(objects).await });
    let left: Vec<Option<String>> = put_back.buffer_unordered(AT_ONCE).collect().await;
    let left: Vec<String> = left.into_iter().flatten().collect();
    match left.is_empty() {
        true => warn!(rules = count, "a write that failed half-way was undone"),
        false => error!(?left, "a write that failed half-way could not be undone"),
    }
    left
}

impl Touched {
    /// Puts it back; otherwise, how it is left.
    async fn put_back(&self, objects: &Objects) -> Option<String> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..MAX_ATTEMPTS {
            match self.once(objects).await {
                Ok(()) => return None,
                Err(e) => warn!(name = self.step.name, error = %e, "could not be put back yet"),
            }
            sleep(pause.mul_f64(fastrand::f64() + 0.5)).await;
            pause *= 2;
        }
        let why = self.once(objects).await.err()?;
        let how = match (&self.step.before, &self.step.rule) {
            (None, _) => "made",
            (Some(_), Some(_)) => "replaced",
            (Some(_), None) => "deleted",
        };
        error!(name = self.step.name, error = %why, how, "cannot be put back");
        Some(format!("{} ({how})", self.step.name))
    }

    async fn once(&self, objects: &Objects) -> Result<(), CallError> {
        let now = objects.get(&self.step.name).await?;
        let done = match (&now, &self.step.before) {
            (Some(now), None) if self.is_ours(now) => objects.delete(now, Mode::Commit).await,
            (Some(now), Some(before)) if self.is_ours(now) => {
                let object = put_back(now, before);
                objects.replace(&object, Mode::Commit).await.map(Some)
            }
            (None, Some(before)) if self.step.rule.is_none() => {
                let object = made_again(before);
                objects.create(&object, Mode::Commit).await.map(Some)
            }
            _ => return Ok(()),
        };
        match done {
            // Somebody else was there first.
            Err(CallError::NotFound) if self.step.before.is_none() => Ok(()),
            done => done.map(|_| ()),
        }
    }

    /// Whether `now` is as the step left it.
    fn is_ours(&self, now: &DynamicObject) -> bool {
        let same = self.uid.is_none() || self.uid == now.metadata.uid;
        let said = self.step.rule.as_ref();
        same && said.is_some_and(|rule| says(now, rule))
    }
}
