//! A write of several rules: tried out as a whole, done, and undone when it fails half-way.
//!
//! A cluster has no transactions over several objects. Each object is changed only if it still
//! says what it said when the write was planned.

use std::cell::Cell;

use a8_common::kubernetes::rule_objects::{
    made, made_again, put_back, replaced, says, says_the_same,
};
use a8_common::rule::{Fault, Rule};
use futures_util::{StreamExt, stream};
use kube::core::{DynamicObject, Status};

use super::objects::{Mode, No, Objects};
use super::{FIELD_MANAGER, told};
use crate::error::Error;
use crate::wire::Refusal;

/// How many objects are written at once.
const AT_ONCE: usize = 8;
/// How often a step starts over because the object's status, say, changed meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// One object, one change.
#[derive(Clone)]
pub(super) struct Step {
    /// Which of the document's rules it is for.
    pub(super) at: usize,
    pub(super) name: String,
    /// The object as it was found.
    pub(super) before: Option<DynamicObject>,
    /// What it shall say; `None`: it shall be gone.
    pub(super) rule: Option<Rule>,
}

/// Does all `steps` or none. When they build on a revision (`bound`), nobody else may have
/// changed any of the objects meanwhile.
pub(super) async fn all_or_none(
    objects: &Objects,
    steps: Vec<Step>,
    bound: bool,
    mode: Mode,
) -> Result<(), Error> {
    if mode == Mode::DryRun || steps.len() > 1 {
        let trials = stream::iter(steps.clone())
            .map(|step| take(objects, step, bound, Mode::DryRun))
            .buffered(AT_ONCE);
        let trials: Vec<_> = trials.collect().await;
        verdict(trials.into_iter().filter_map(Result::err))?;
    }
    if mode == Mode::DryRun {
        return Ok(());
    }
    let alone = steps.len() == 1;
    let broken = Cell::new(false);
    let taken = stream::iter(steps).map(async |step| {
        // What has begun is waited for; nothing more is begun.
        if broken.get() {
            return None;
        }
        let planned = step.clone();
        let taken = take(objects, step, bound, Mode::Commit).await;
        broken.set(broken.get() || taken.is_err());
        Some((planned, taken))
    });
    let taken: Vec<_> = taken.buffered(AT_ONCE).collect().await;
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (planned, taken) in taken.into_iter().flatten() {
        match taken {
            Ok(step) => done.push(step),
            Err(why) => {
                // Nobody knows whether what was not answered was done.
                if !alone && matches!(why.1, No::Other(Error::Silent(_))) {
                    done.push(planned);
                }
                failed.push(why);
            }
        }
    }
    let Err(cause) = verdict(failed.into_iter()) else {
        return Ok(());
    };
    let mut left = Vec::new();
    for step in done.into_iter().rev() {
        if let Err(why) = undo(objects, &step).await {
            left.push(format!("{} ({})", step.name, why.error()));
        }
    }
    match left.is_empty() {
        true => Err(cause),
        false => Err(Error::Partly {
            left: left.join(", "),
            cause: Box::new(cause),
        }),
    }
}

/// All faults of all rules, or the first of what else went wrong.
fn verdict(failed: impl Iterator<Item = (usize, No)>) -> Result<(), Error> {
    let mut faults = Vec::new();
    for (at, no) in failed {
        match no {
            No::Invalid(status) => match faults_of(&status, at) {
                more if more.is_empty() => return Err(told(status)),
                more => faults.extend(more),
            },
            no => return Err(no.error()),
        }
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::Unfit(Refusal::invalid_rule(faults))),
    }
}

/// What the API server finds wrong with the rule `at`.
fn faults_of(status: &Status, at: usize) -> Vec<Fault> {
    let causes = status.details.iter().flat_map(|of| &of.causes);
    let fault = |path: &str, reason: &str| {
        let path = path.strip_prefix("spec").unwrap_or(path);
        Fault {
            rule: Some(at),
            path: path.strip_prefix('.').unwrap_or(path).to_owned(),
            reason: reason.to_owned(),
        }
    };
    let faults: Vec<_> = causes.map(|of| fault(&of.field, &of.message)).collect();
    match (faults.is_empty(), status.code) {
        // Of a member that is unknown it says so in the text only.
        (true, 400) => vec![fault("", &status.message)],
        _ => faults,
    }
}

/// Does one step. It is repeated while others change what does not matter.
async fn take(
    objects: &Objects,
    mut step: Step,
    bound: bool,
    mode: Mode,
) -> Result<Step, (usize, No)> {
    let at = step.at;
    for _ in 0..MAX_ATTEMPTS {
        let made = match once(objects, &step, mode).await {
            Ok(()) => return Ok(step),
            Err(No::Changed) => objects.get(&step.name).await,
            Err(no) => return Err((at, no)),
        };
        let now = made.map_err(|no| (at, no))?;
        let unchanged = match (&step.before, &now) {
            (Some(before), Some(now)) => {
                before.metadata.uid == now.metadata.uid && says_the_same(before, now)
            }
            (None, None) => true,
            _ => false,
        };
        match (&now, &step.rule) {
            // Somebody else has deleted it.
            (None, None) if !bound => return Ok(step),
            _ if bound && !unchanged => return Err((at, No::Changed)),
            // It is no longer what was to be deleted.
            (Some(_), None) if !unchanged => return Err((at, No::Changed)),
            _ => step.before = now,
        }
    }
    Err((at, No::Changed))
}

async fn once(objects: &Objects, step: &Step, mode: Mode) -> Result<(), No> {
    match (&step.before, &step.rule) {
        (None, Some(rule)) => {
            let object = made(rule, FIELD_MANAGER).map_err(unwritable)?;
            objects.create(&object, mode).await.map(|_| ())
        }
        (Some(before), Some(rule)) => {
            if says(before, rule) {
                return Ok(());
            }
            let object = replaced(before, rule).map_err(unwritable)?;
            objects.replace(&object, mode).await.map(|_| ())
        }
        (Some(before), None) => objects.delete(before, mode).await,
        (None, None) => Ok(()),
    }
}

/// Puts an object back as it was. What others have changed since is theirs and stays.
async fn undo(objects: &Objects, step: &Step) -> Result<(), No> {
    for _ in 0..MAX_ATTEMPTS {
        let now = objects.get(&step.name).await?;
        let ours = |now| step.rule.as_ref().is_some_and(|rule| says(now, rule));
        let undone = match (&now, &step.before) {
            (Some(now), None) if ours(now) => objects.delete(now, Mode::Commit).await,
            (Some(now), Some(before)) if ours(now) => {
                let object = put_back(now, before);
                objects.replace(&object, Mode::Commit).await.map(|_| ())
            }
            (None, Some(before)) if step.rule.is_none() => {
                let object = made_again(before);
                objects.create(&object, Mode::Commit).await.map(|_| ())
            }
            _ => return Ok(()),
        };
        match undone {
            Err(No::Changed) => {}
            done => return done,
        }
    }
    Err(No::Changed)
}

fn unwritable(e: serde_json::Error) -> No {
    No::Other(Error::Silent(e.to_string()))
}
