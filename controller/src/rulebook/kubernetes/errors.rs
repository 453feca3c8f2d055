//! What a cluster's refusals are to the callers of the book.

use a8_common::kubernetes::routing_rule::DEFINITION;
use a8_common::kubernetes::rule_objects::{CallError, NotWritten};
use a8_common::store::{RefusedTransaction, Unavailable};

use crate::rulebook::WriteError;

impl From<NotWritten> for WriteError {
    fn from(why: NotWritten) -> Self {
        match why {
            NotWritten::Unknown(ids) => Self::Unknown(ids),
            NotWritten::Invalid(faults) => Self::Invalid(faults),
            NotWritten::TooLarge(limit) => Self::Refused(RefusedTransaction::StoreLimit { limit }),
            NotWritten::Moved => Self::Moved,
            NotWritten::Contended => Self::Contended,
            NotWritten::Unwritable(e) => Self::Unwritable(e),
            NotWritten::Call(e) => e.into(),
            NotWritten::Partly { left, cause } => Self::Partly {
                left,
                cause: Box::new((*cause).into()),
            },
        }
    }
}

impl From<CallError> for WriteError {
    fn from(e: CallError) -> Self {
        match e {
            CallError::NoDefinition => Self::NoDefinition {
                definition: DEFINITION,
            },
            CallError::Denied(text) => Self::Denied(text),
            CallError::Invalid(status) => Self::Denied(status.message),
            CallError::NotAllowed { what, reason } => Self::NotAllowed { what, reason },
            CallError::Throttled(wait) => Self::Throttled { wait },
            e @ (CallError::NotFound
            | CallError::Exists
            | CallError::Conflict
            | CallError::Expired
            | CallError::Stranger(_)
            | CallError::Unavailable(_)) => Unavailable::because(e.to_string()).into(),
        }
    }
}
