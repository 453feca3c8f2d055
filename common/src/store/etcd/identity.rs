//! Which store this is: the entry that tells its layout and names its epoch.

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse};
use serde::{Deserialize, Serialize};

use super::entry::Keys;
use super::members::Members;
use crate::model::Epoch;
use crate::store::error::Unavailable;

/// Its key; nothing that is watched lies there.
const KEY: &str = "store";
/// What this version reads and writes.
const LAYOUT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Identity {
    layout: u32,
    epoch: Epoch,
}

/// The epoch of the store; the first who asks names it.
pub(super) async fn of(members: &Members, keys: &Keys) -> Result<Epoch, Unavailable> {
    let key = keys.full(KEY);
    let mine = Identity {
        layout: LAYOUT,
        epoch: Epoch::fresh(),
    };
    let mine =
        serde_json::to_vec(&mine).map_err(|e| Unavailable::because(format!("own fault: {e}")))?;
    let at = key.as_str();
    let found = members.ask(|client| async move { client.kv_client().get(at, None).await });
    let found = found.await?;
    let value = match found.kvs().first() {
        Some(kv) => kv.value().to_vec(),
        None => claim(members, &key, mine).await?,
    };
    match serde_json::from_slice::<Identity>(&value) {
        Ok(Identity { layout, epoch }) if layout == LAYOUT => Ok(epoch),
        Ok(Identity { layout, .. }) => Err(Unavailable::because(format!(
            "the data in etcd below {key:?} has layout {layout}, this version knows {LAYOUT}: \
             take the version that wrote it, or another prefix"
        ))),
        Err(_) => Err(Unavailable::because(format!(
            "etcd holds something else at {key:?}: choose another prefix"
        ))),
    }
}

/// Writes the entry, unless somebody else was faster; what is there then.
async fn claim(members: &Members, key: &str, mine: Vec<u8>) -> Result<Vec<u8>, Unavailable> {
    let absent = Compare::create_revision(key, CompareOp::Equal, 0);
    let request = Txn::new()
        .when([absent])
        .and_then([TxnOp::put(key, mine.clone(), None)])
        .or_else([TxnOp::get(key, None)]);
    let reply = members.ask(|client| {
        let request = request.clone();
        async move { client.kv_client().txn(request).await }
    });
    let theirs = reply
        .await?
        .op_responses()
        .into_iter()
        .find_map(|op| match op {
            TxnOpResponse::Get(found) => Some(found.kvs().first()?.value().to_vec()),
            _ => None,
        });
    Ok(theirs.unwrap_or(mine))
}
