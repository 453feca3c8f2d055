//! From the book's errors to replies: the one place that chooses status and text.

use std::time::Duration;

use a8_common::http::Reply;
use a8_common::model::Revision;
use a8_common::rule::{Fault, Faults};
use a8_common::watch::etag;
use a8_common::watch::server;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::rulebook::{Shelf, ShelfError, WriteError};

const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(5);

/// The body of every error reply.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    /// A stable word for programs.
    pub error: String,
    /// What is wrong, for people.
    pub description: String,
    /// Every fault of the rules sent, if they are at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Fault>>)]
    pub details: Option<Value>,
}

/// How this server writes an error.
pub fn shape(reply: &Reply) -> Value {
    json!(ErrorBody {
        error: reply.code().to_owned(),
        description: reply.text().to_owned(),
        details: reply.details().cloned(),
    })
}

pub(super) fn bad(text: impl Into<String>) -> Reply {
    Reply::bad_request("invalid_request", text.into())
}

/// How many faults the description tells; the details have all of them.
const TOLD: usize = 3;

pub(super) fn faults(faults: Faults) -> Reply {
    invalid(&Vec::from(faults))
}

fn invalid(faults: &[Fault]) -> Reply {
    let text = told(faults.iter().map(Fault::to_string), faults.len(), "; ");
    Reply::bad_request("invalid_rule", text).with_details(json!(faults))
}

/// The first few of `all` texts, and how many more there are.
fn told(texts: impl Iterator<Item = String>, all: usize, between: &str) -> String {
    let mut few: Vec<_> = texts.take(TOLD).collect();
    if all > TOLD {
        few.push(format!("and {} more", all - TOLD));
    }
    few.join(between)
}

pub(super) fn no_rules() -> Reply {
    Reply::bad_request("no_rules_provided", "rules: must hold at least one rule")
}

pub(super) fn unknown(ids: &[String]) -> Reply {
    let text = WriteError::Unknown(ids.to_vec()).to_string();
    Reply::not_found("unknown_rule", text)
}

pub(super) fn shelf(e: ShelfError) -> Reply {
    let text = e.to_string();
    match e {
        ShelfError::NotLoaded => Reply::unavailable("not_loaded", text, SOON),
        ShelfError::Elsewhere { .. } => Reply::new(StatusCode::FORBIDDEN, "other_namespace", text),
    }
}

pub(super) fn view_not_loaded(_: server::NotLoaded) -> Reply {
    shelf(ShelfError::NotLoaded)
}

pub(super) fn write(e: WriteError) -> Reply {
    match e {
        WriteError::Unknown(ids) => unknown(&ids),
        WriteError::Moved => {
            let text = e.to_string();
            Reply::new(StatusCode::PRECONDITION_FAILED, "revision_mismatch", text)
        }
        WriteError::Full { .. } => Reply::new(StatusCode::FORBIDDEN, "capacity", e.to_string()),
        WriteError::Contended => Reply::unavailable("contended", e.to_string(), SOON),
        WriteError::Refused(_) => {
            Reply::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", e.to_string())
        }
        WriteError::Unwritable(_) => Reply::internal().log(&e),
        WriteError::Unavailable(_) => {
            Reply::unavailable("store_unavailable", "the store is unavailable", SOON).log(&e)
        }
        WriteError::Throttled { wait } => {
            Reply::unavailable("store_unavailable", "the store is busy", wait).log(&e)
        }
        WriteError::Invalid(faults) => invalid(&faults),
        WriteError::Denied(text) => Reply::new(StatusCode::FORBIDDEN, "refused_by_cluster", text),
        WriteError::NotAllowed { ref what, .. } => {
            let text = format!("this controller may not {what}: its cluster role lacks it");
            Reply::new(StatusCode::BAD_GATEWAY, "not_allowed_in_cluster", text).log(&e)
        }
        WriteError::NoDefinition { definition } => {
            let text = format!(
                "{definition} is not installed: run kubectl apply -f kubernetes/crd.yaml, or a8ctl install"
            );
            Reply::unavailable("no_definition", text, LATER)
        }
        WriteError::Partly { ref left, .. } => {
            let left = told(left.iter().cloned(), left.len(), ", ");
            let text = format!(
                "the write failed half-way, and not all could be put back: {left}; the same \
                 request again makes it whole"
            );
            Reply::unavailable("partly_written", text, SOON).log(&e)
        }
    }
}

/// A reply with the `ETag` of the namespace at `revision`.
pub(super) fn tagged(shelf: &Shelf, revision: Revision, reply: impl IntoResponse) -> Response {
    let mut reply = reply.into_response();
    let tag = shelf
        .snapshot()
        .epoch
        .as_ref()
        .and_then(|epoch| etag::make(epoch, revision));
    if let Some(tag) = tag {
        reply.headers_mut().insert(header::ETAG, tag);
    }
    reply
}
