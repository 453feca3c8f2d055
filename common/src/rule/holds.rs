//! Whether a match holds for a request, and if not, which part of it does not.

use std::fmt;

use super::condition::{Caller, Condition, Header, Headers, Match};
use super::decide::Request;
use crate::model::{Identity, ServiceName};

/// The first part of a match that does not hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Miss<'a> {
    /// A condition of the match itself.
    Own(Part<'a>),
    /// A condition of `all`, by its position.
    All(usize, Part<'a>),
    /// No condition of `any` holds.
    Any,
    /// A condition of `none` holds, by its position.
    None(usize),
}

/// The part of a condition that does not hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// Another service calls than the one wanted.
    Service(&'a ServiceName, &'a Caller),
    /// The caller lacks a tag.
    Tags(&'a Identity, &'a Caller),
    /// The header is not there.
    Absent(&'a Header),
    /// The header is there, and no value of it matches.
    Value(&'a Header),
}

/// Whether `when` holds for `request`.
pub(super) fn holds<'a>(when: Option<&'a Match>, request: &Request<'a>) -> Result<(), Miss<'a>> {
    let Some(when) = when else {
        return Ok(());
    };
    parts(when.source.as_ref(), &when.headers, request).map_err(Miss::Own)?;
    for (at, one) in when.all.iter().enumerate() {
        condition(one, request).map_err(|part| Miss::All(at, part))?;
    }
    if !when.any.is_empty() && !when.any.iter().any(|one| condition(one, request).is_ok()) {
        return Err(Miss::Any);
    }
    match when
        .none
        .iter()
        .position(|one| condition(one, request).is_ok())
    {
        Some(at) => Err(Miss::None(at)),
        None => Ok(()),
    }
}

fn condition<'a>(one: &'a Condition, request: &Request<'a>) -> Result<(), Part<'a>> {
    parts(one.source.as_ref(), &one.headers, request)
}

fn parts<'a>(
    source: Option<&'a Caller>,
    headers: &'a Headers,
    request: &Request<'a>,
) -> Result<(), Part<'a>> {
    if let Some(wanted) = source {
        if wanted.name != request.caller.service {
            return Err(Part::Service(&request.caller.service, wanted));
        }
        if !request.caller.tags.contains_all(&wanted.tags) {
            return Err(Part::Tags(request.caller, wanted));
        }
    }
    for header in headers.iter() {
        let mut values = request.headers.get_all(&header.name).iter().peekable();
        if values.peek().is_none() {
            return Err(Part::Absent(header));
        }
        if !values.any(|value| header.pattern.matches(value.as_bytes())) {
            return Err(Part::Value(header));
        }
    }
    Ok(())
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(part) => part.fmt(f),
            Self::All(at, part) => write!(f, "all[{at}] does not hold: {part}"),
            Self::Any => f.write_str("no entry of any holds"),
            Self::None(at) => write!(f, "none[{at}] holds"),
        }
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(is, wanted) => {
                write!(f, "the caller is {is}, the rule wants {}", wanted.name)
            }
            Self::Tags(is, wanted) => {
                write!(
                    f,
                    "the caller {is} does not carry all of the tags {}",
                    wanted.tags
                )
            }
            Self::Absent(header) => write!(f, "header {} is not there", header.written),
            Self::Value(header) => {
                let Header {
                    written, pattern, ..
                } = header;
                write!(f, "header {written} does not match `{pattern}`")
            }
        }
    }
}
