//! Making objects.

use super::body;
use super::write::{Managed, make};
use crate::api::call::Call;
use crate::crd;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::wire::reply::Reply;

/// Answers a request for a new object.
pub(super) fn create(call: &mut Call<'_>, kind: &Kind) -> Result<Reply, Failure> {
    call.check_options("CreateOptions")?;
    let object = body::read(call, kind)?;
    let api = call.api.clone();
    let mut store = api.store();
    crd::refuse_while_going(&store, kind, "create")?;
    let made = make(call, kind, &mut store, object, Managed::Find)?;
    drop(store);
    call.reply(201, kind, &made)
}
