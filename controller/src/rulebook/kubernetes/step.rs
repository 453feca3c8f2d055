//! One step: it is repeated while others change the same object, within bounds.

use a8_common::kubernetes::rule_objects;
use a8_common::rule::Fault;
use a8_common::store::{RefusedTransaction, Unavailable};
use kube::core::{DynamicObject, Status};

use super::objects::{CallError, FIELD_MANAGER, Objects, version};
use super::plan::{Step, Wanted};
use crate::rulebook::{Mode, WriteError};

/// How often a step starts over because somebody else changed the object meanwhile.
const MAX_ATTEMPTS: usize = 8;

/// What a step did.
#[derive(Debug)]
pub(super) struct Done {
    /// Which object, and as it was when this was done.
    pub(super) step: Step,
    /// The object as it is now; `None`: it is gone.
    pub(super) after: Option<DynamicObject>,
    /// Whether it was this step that did it.
    pub(super) ours: bool,
}

/// Why a step was not done.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) step: Step,
    pub(super) why: WriteError,
    /// Whether it may have been done all the same.
    pub(super) open: bool,
}

/// Does `step` for a request that wants `wanted`. Where the request builds on a revision
/// (`bound`), the object must still say what it said then.
pub(super) async fn take(
    objects: &Objects,
    wanted: &Wanted,
    mut step: Step,
    bound: bool,
    mode: Mode,
) -> Result<Done, Box<Failed>> {
    for _ in 0..MAX_ATTEMPTS {
        let why = match once(objects, &step, mode).await {
            Ok(after) => return Ok(done(step, after, true)),
            Err(Why::Call(CallError::Conflict | CallError::Exists | CallError::NotFound)) => None,
            Err(Why::Call(e)) => Some((
                matches!(e, CallError::Unavailable(_)),
                write_error(e, &step),
            )),
            Err(Why::Write(e)) => Some((false, e)),
        };
        if let Some((open, why)) = why {
            return Err(failed(step, why, open));
        }
        let now = match objects.get(&step.name).await {
            Ok(now) => now,
            Err(e) => {
                let why = write_error(e, &step);
                return Err(failed(step, why, false));
            }
        };
        let unchanged = match (&step.before, &now) {
            (Some(before), Some(now)) => rule_objects::says_the_same(now, before),
            (None, None) => true,
            _ => false,
        };
        if bound && !unchanged {
            return Err(failed(step, WriteError::Moved, false));
        }
        match (&now, &step.rule) {
            // Somebody else has deleted it.
            (None, None) => return Ok(done(step, None, false)),
            (None, Some(_)) if !wanted.makes() => {
                let why = WriteError::Unknown(vec![step.name.clone()]);
                return Err(failed(step, why, false));
            }
            // It is no longer one of those.
            (Some(object), None) if !wanted.takes(object) => return Ok(done(step, now, false)),
            _ => step.before = now,
        }
    }
    Err(failed(step, WriteError::Contended, false))
}

fn unwritable(e: serde_json::Error) -> Why {
    Why::Write(WriteError::Unwritable(e))
}

enum Why {
    Call(CallError),
    Write(WriteError),
}

async fn once(objects: &Objects, step: &Step, mode: Mode) -> Result<Option<DynamicObject>, Why> {
    match (&step.before, &step.rule) {
        (None, Some(rule)) => {
            let object = rule_objects::made(rule, FIELD_MANAGER).map_err(unwritable)?;
            objects.create(&object, mode).await.map(Some)
        }
        (Some(before), Some(rule)) => {
            let object = rule_objects::replaced(before, rule).map_err(unwritable)?;
            objects.replace(&object, mode).await.map(Some)
        }
        (Some(before), None) => objects.delete(before, mode).await,
        (None, None) => Ok(None),
    }
    .map_err(Why::Call)
}

fn done(step: Step, after: Option<DynamicObject>, ours: bool) -> Done {
    Done { step, after, ours }
}

fn failed(step: Step, why: WriteError, open: bool) -> Box<Failed> {
    Box::new(Failed { step, why, open })
}

impl Done {
    /// The version that it led to, if it left an object.
    pub(super) fn version(&self) -> Option<u64> {
        let after = self.after.as_ref()?;
        version(after.metadata.resource_version.as_deref()).ok()
    }
}

fn write_error(e: CallError, step: &Step) -> WriteError {
    match e {
        CallError::Invalid(status) if status.code == 413 => {
            let limit = status.message;
            WriteError::Refused(RefusedTransaction::StoreLimit { limit })
        }
        CallError::Invalid(status) => WriteError::Invalid(faults(&status, step)),
        e => e.into(),
    }
}

/// What the definition, or a member that it does not know, is against.
fn faults(status: &Status, step: &Step) -> Vec<Fault> {
    let fault = |path: &str, reason: &str| Fault {
        rule: Some(step.at),
        path: path.strip_prefix("spec.").unwrap_or(path).to_owned(),
        reason: reason.to_owned(),
    };
    let causes = status.details.iter().flat_map(|of| &of.causes);
    let faults: Vec<Fault> = causes
        .map(|cause| fault(&cause.field, &cause.message))
        .collect();
    match faults.is_empty() {
        true => vec![fault("", &status.message)],
        false => faults,
    }
}

impl From<CallError> for WriteError {
    fn from(e: CallError) -> Self {
        match e {
            CallError::NoDefinition => Self::NoDefinition {
                definition: a8_common::kubernetes::routing_rule::DEFINITION,
            },
            CallError::Denied(text) => Self::Denied(text),
            CallError::Invalid(status) => Self::Denied(status.message),
            CallError::NotAllowed { what, reason } => Self::NotAllowed { what, reason },
            CallError::Throttled(wait) => Self::Throttled { wait },
            e @ (CallError::NotFound
            | CallError::Exists
            | CallError::Conflict
            | CallError::Expired
            | CallError::Unavailable(_)) => Unavailable::because(e.to_string()).into(),
        }
    }
}
