//! One step of a write: one object, one change. It is repeated while others change the same
//! object, within bounds.

use std::collections::BTreeMap;

use kube::core::{DynamicObject, Status};

use super::calls::{CallError, Mode, Objects, version};
use super::writes::NotWritten;
use super::{made, replaced, says, says_the_same};
use crate::rule::{Fault, Rule};

/// How often a step starts over because somebody else changed the object meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// One object, one change.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which of the document's rules it is for.
    pub at: usize,
    /// The object's name.
    pub name: String,
    /// The object as it was found.
    pub before: Option<DynamicObject>,
    /// What it shall say; `None`: it shall be gone.
    pub rule: Option<Rule>,
}

/// What a write keeps to, when others change its objects meanwhile.
pub struct Terms<'a> {
    /// Whether objects may be made, or only those be changed that are there.
    pub makes: bool,
    /// Whether an object, as it is now, is still among those that shall be gone.
    pub takes: &'a (dyn Fn(&DynamicObject) -> bool + Sync),
    /// Whether the objects must still say what they said when the steps were planned.
    pub bound: bool,
}

/// What a step did.
#[derive(Debug)]
pub struct Done {
    /// Which object, and as it was when this was done.
    pub step: Step,
    /// The object as it is now; `None`: it is gone.
    pub after: Option<DynamicObject>,
    /// Whether it was this step that did it.
    pub ours: bool,
}

/// Why a step was not done.
pub(super) struct Failed {
    pub(super) step: Step,
    pub(super) why: NotWritten,
    /// Whether it may have been done all the same.
    pub(super) open: bool,
}

impl Step {
    /// The steps after which there are `rules`, where `live` is what is there, by name.
    pub fn puts(rules: &[Rule], live: &BTreeMap<String, DynamicObject>) -> Vec<Self> {
        let step = |(at, rule): (usize, &Rule)| Self {
            at,
            name: rule.id().to_string(),
            before: live.get(rule.id().as_str()).cloned(),
            rule: Some(rule.clone()),
        };
        rules.iter().enumerate().map(step).collect()
    }

    /// The steps after which those of `live` are gone that `takes` says so of.
    pub fn removes(
        live: &BTreeMap<String, DynamicObject>,
        takes: impl Fn(&DynamicObject) -> bool,
    ) -> Vec<Self> {
        let taken = live.iter().filter(|(_, object)| takes(object));
        let step = |(at, (name, object)): (usize, (&String, &DynamicObject))| Self {
            at,
            name: name.clone(),
            before: Some(object.clone()),
            rule: None,
        };
        taken.enumerate().map(step).collect()
    }
}

impl Done {
    /// The version that it led to, if it left an object.
    pub fn version(&self) -> Option<u64> {
        let after = self.after.as_ref()?;
        version(after.metadata.resource_version.as_deref()).ok()
    }
}

/// Does `step`, or tries it out.
pub(super) async fn take(
    objects: &Objects,
    terms: &Terms<'_>,
    mut step: Step,
    mode: Mode,
) -> Result<Done, Box<Failed>> {
    for _ in 0..MAX_ATTEMPTS {
        let why = match once(objects, &step, mode).await {
            Ok((after, ours)) => return Ok(Done { step, after, ours }),
            Err(NotWritten::Call(
                CallError::Conflict | CallError::Exists | CallError::NotFound,
            )) => None,
            Err(why) => Some(why),
        };
        if let Some(why) = why {
            let open = matches!(why, NotWritten::Call(CallError::Unavailable(_)));
            return Err(failed(step, why, open));
        }
        let now = match objects.get(&step.name).await {
            Ok(now) => now,
            Err(e) => return Err(failed(step, e.into(), false)),
        };
        let unchanged = match (&step.before, &now) {
            (Some(before), Some(now)) => says_the_same(now, before),
            (None, None) => true,
            _ => false,
        };
        if terms.bound && !unchanged {
            return Err(failed(step, NotWritten::Moved, false));
        }
        match (&now, &step.rule) {
            // Somebody else has deleted it.
            (None, None) => return Ok(by_others(step, now)),
            (None, Some(_)) if !terms.makes => {
                let unknown = vec![step.name.clone()];
                return Err(failed(step, NotWritten::Unknown(unknown), false));
            }
            // It is no longer one of those.
            (Some(object), None) if !(terms.takes)(object) => return Ok(by_others(step, now)),
            _ => step.before = now,
        }
    }
    Err(failed(step, NotWritten::Contended, false))
}

/// The object after it, and whether anything was done.
async fn once(
    objects: &Objects,
    step: &Step,
    mode: Mode,
) -> Result<(Option<DynamicObject>, bool), NotWritten> {
    let done = match (&step.before, &step.rule) {
        (None, Some(rule)) => {
            let object = made(rule, objects.manager).map_err(NotWritten::Unwritable)?;
            objects.create(&object, mode).await.map(Some)
        }
        (Some(before), Some(rule)) if says(before, rule) => {
            return Ok((Some(before.clone()), false));
        }
        (Some(before), Some(rule)) => {
            let object = replaced(before, rule).map_err(NotWritten::Unwritable)?;
            objects.replace(&object, mode).await.map(Some)
        }
        (Some(before), None) => objects.delete(before, mode).await,
        (None, None) => return Ok((None, false)),
    };
    match done {
        Ok(after) => Ok((after, true)),
        Err(CallError::Invalid(status)) => Err(refused(*status, step)),
        Err(e) => Err(e.into()),
    }
}

fn by_others(step: Step, after: Option<DynamicObject>) -> Done {
    Done {
        step,
        after,
        ours: false,
    }
}

fn failed(step: Step, why: NotWritten, open: bool) -> Box<Failed> {
    Box::new(Failed { step, why, open })
}

/// What the definition, or a member that it does not know, is against.
fn refused(status: Status, step: &Step) -> NotWritten {
    if status.code == 413 {
        return NotWritten::TooLarge(status.message);
    }
    let fault = |path: &str, reason: String| {
        let path = path.strip_prefix("spec").unwrap_or(path);
        Fault {
            rule: Some(step.at),
            path: path.strip_prefix('.').unwrap_or(path).to_owned(),
            reason,
        }
    };
    let causes = status.details.into_iter().flat_map(|of| of.causes);
    let faults: Vec<Fault> = causes
        .map(|cause| fault(&cause.field, cause.message))
        .collect();
    NotWritten::Invalid(match faults.is_empty() {
        // Of a member that is unknown it says so in the text only.
        true => vec![fault("", status.message)],
        false => faults,
    })
}
