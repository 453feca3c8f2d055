//! What an action rule does to requests: delay them, abort them, mark them in the log.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::number::{Seconds, Share};
use crate::model::Tags;

/// One action of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Holds each attempt back for a while.
    Delay(Delay),
    /// Answers in the destination's place.
    Abort(Abort),
    /// Writes a mark into the access log.
    Trace(Trace),
}

impl Action {
    /// The tags that the drawn backend must have been chosen by, if any are asked for.
    pub fn tags(&self) -> Option<&Tags> {
        match self {
            Self::Delay(a) => a.tags.as_ref(),
            Self::Abort(a) => a.tags.as_ref(),
            Self::Trace(a) => a.tags.as_ref(),
        }
    }

    /// The share of matching requests that it is done to.
    pub fn probability(&self) -> Share {
        match self {
            Self::Delay(a) => a.probability.unwrap_or(Share::ALL),
            Self::Abort(a) => a.probability.unwrap_or(Share::ALL),
            Self::Trace(_) => Share::ALL,
        }
    }
}

/// Holds each attempt back for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delay {
    /// Seconds.
    #[schema(value_type = f64, exclusive_minimum = 0.0)]
    duration: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0.0, maximum = 1.0)]
    probability: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Tags>,
}

impl Delay {
    pub(super) fn new(duration: Seconds, probability: Option<Share>, tags: Option<Tags>) -> Self {
        Self {
            duration,
            probability,
            tags,
        }
    }

    /// For how long.
    pub fn duration(&self) -> Duration {
        self.duration.duration()
    }
}

/// Answers in the destination's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Abort {
    /// 200 to 599: the status to answer; -5 to 0: close the connection without an answer.
    #[schema(value_type = i32, minimum = -5, maximum = 599)]
    return_code: ReturnCode,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>, minimum = 0.0, maximum = 1.0)]
    probability: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Tags>,
}

impl Abort {
    pub(super) fn new(
        return_code: ReturnCode,
        probability: Option<Share>,
        tags: Option<Tags>,
    ) -> Self {
        Self {
            return_code,
            probability,
            tags,
        }
    }

    /// What the caller is given.
    pub fn return_code(&self) -> ReturnCode {
        self.return_code
    }
}

/// How an aborted attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnCode {
    /// With this status, 200 to 599.
    Status(http::StatusCode),
    /// With the connection closed and no answer. Holds the number that was written, -5 to 0.
    Close(i8),
}

impl ReturnCode {
    /// The number as it is written in a rule.
    pub fn number(self) -> i16 {
        match self {
            Self::Status(code) => i16::try_from(code.as_u16()).unwrap_or(i16::MAX),
            Self::Close(written) => written.into(),
        }
    }
}

/// Why a number is no return code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a status, 200 to 599, or -5 to 0 to close the connection; got {0}")]
pub struct ReturnCodeError(pub i64);

impl TryFrom<i64> for ReturnCode {
    type Error = ReturnCodeError;

    fn try_from(given: i64) -> Result<Self, ReturnCodeError> {
        let refused = ReturnCodeError(given);
        match given {
            -5..=0 => i8::try_from(given).map(Self::Close).map_err(|_| refused),
            200..=599 => u16::try_from(given)
                .ok()
                .and_then(|code| http::StatusCode::from_u16(code).ok())
                .map(Self::Status)
                .ok_or(refused),
            _ => Err(refused),
        }
    }
}

impl Serialize for ReturnCode {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_i16(self.number())
    }
}

/// Writes a mark into the access log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Trace {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    log_key: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    log_value: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Tags>,
}

impl Trace {
    /// The member under which a mark without a key of its own is written.
    pub const DEFAULT_KEY: &'static str = "trace";

    pub(super) fn new(
        log_key: Option<Arc<str>>,
        log_value: Option<Arc<str>>,
        tags: Option<Tags>,
    ) -> Self {
        Self {
            log_key,
            log_value,
            tags,
        }
    }

    /// The member of the log line.
    pub fn log_key(&self) -> &str {
        self.log_key.as_deref().unwrap_or(Self::DEFAULT_KEY)
    }

    /// Its value.
    pub fn log_value(&self) -> &str {
        self.log_value.as_deref().unwrap_or("")
    }
}
