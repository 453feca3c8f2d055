//! Keys and entries, as etcd has them and as the port does.

use std::sync::Arc;

use bytes::Bytes;
use etcd_client::{KeyValue, ResponseHeader};

use crate::model::Revision;
use crate::store::transaction::{Entry, Key, LeaseId};

/// The number of the layout below the prefix. Another layout lies beside it, not over it.
const LAYOUT: &str = "v1";

/// Where a full etcd is asked whether it takes writes again. Outside of all that is watched.
pub(super) const PROBE: &str = "probe";

/// The prefix of all keys.
#[derive(Debug, Clone)]
pub(super) struct Keys(Arc<str>);

impl Keys {
    pub(super) fn below(prefix: &str) -> Self {
        Self(format!("{prefix}/{LAYOUT}/").into())
    }

    /// A key, or the beginning of keys, as etcd has it.
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.0)
    }

    /// A key without the prefix; `None` for one that is not ours.
    pub(super) fn own(&self, key: &[u8]) -> Option<Key> {
        let key = std::str::from_utf8(key).ok()?;
        key.strip_prefix(&*self.0).map(Key::from)
    }

    pub(super) fn entry(&self, kv: &KeyValue) -> Option<Arc<Entry>> {
        Some(Arc::new(Entry {
            key: self.own(kv.key())?,
            value: Bytes::copy_from_slice(kv.value()),
            create_revision: revision(kv.create_revision()),
            mod_revision: revision(kv.mod_revision()),
            lease: lease(kv.lease()),
        }))
    }
}

/// What a reply says of the cluster.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Header {
    pub(super) revision: Revision,
    pub(super) member: u64,
}

/// Every reply of etcd has a header; one without reads as revision 0, which nothing follows.
pub(super) fn header(header: Option<&ResponseHeader>) -> Header {
    header.map_or_else(Header::default, |header| Header {
        revision: revision(header.revision()),
        member: header.member_id(),
    })
}

/// etcd counts in signed numbers that are never negative.
pub(super) fn revision(number: i64) -> Revision {
    Revision(u64::try_from(number).unwrap_or(0))
}

/// A number as etcd takes it. Ours stay below its bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn lease(number: i64) -> Option<LeaseId> {
    u64::try_from(number).ok().filter(|id| *id > 0).map(LeaseId)
}

/// The first key after all that begin with `prefix`, as a range of etcd's ends.
pub(super) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    // UTF-8 has no byte 0xff, so adding one always works.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
