//! What a cluster's refusals about rules are to people.

use a8_common::kubernetes::rule_objects::{CallError, NotWritten};

use crate::error::Error;
use crate::wire::Refusal;

impl From<CallError> for Error {
    fn from(e: CallError) -> Self {
        let refused = |text| Self::Unfit(Refusal::new("refused", text));
        match e {
            CallError::NotFound | CallError::Exists | CallError::Conflict => {
                NotWritten::Moved.into()
            }
            CallError::Expired => {
                Self::NotThere("the list grew too old while it was read; try again")
            }
            CallError::NoDefinition => Self::NoDefinition,
            CallError::Invalid(status) => refused(status.message),
            CallError::Denied(text) => refused(text),
            CallError::NotAllowed { what, .. } => Self::Forbidden(what),
            CallError::Stranger(text) => Self::Stranger(text),
            e @ (CallError::Throttled(_) | CallError::Unavailable(_)) => {
                Self::Silent(e.to_string())
            }
        }
    }
}

impl From<NotWritten> for Error {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Unknown(_) => Self::Unfit(Refusal::new("unknown_rule", why.to_string())),
            NotWritten::Invalid(faults) => Self::Unfit(Refusal::invalid_rule(faults)),
            NotWritten::Moved | NotWritten::Contended => {
                Self::NotThere("somebody else changed the rules meanwhile")
            }
            NotWritten::Call(e) => e.into(),
            NotWritten::TooLarge(_) | NotWritten::Unwritable(_) => {
                Self::Unfit(Refusal::new("refused", why.to_string()))
            }
            NotWritten::Partly { left, cause } => Self::Partly {
                left: left.join(", "),
                cause: Box::new((*cause).into()),
            },
        }
    }
}
