//! The wire form of a [`View`](crate::view::View): how its changes travel from the registry
//! and the controller to whoever watches them.
//!
//! [`server`] turns a view into a stream of lines, [`client`] turns such a stream (or, from a
//! server that cannot be watched, a list asked for again and again) back into a view, and
//! [`codec`] is the form of a line that both agree on.
//!
//! # The stream
//!
//! `application/x-ndjson`: one JSON object a line, each flushed at once.
//!
//! ```text
//! {"type":"RESET","epoch":"e1","revision":7,"items":[...]}
//! {"type":"UPSERT","revision":8,"items":[...]}
//! {"type":"REMOVE","revision":9,"ids":["..."]}
//! {"type":"BOOKMARK","revision":9}
//! ```
//!
//! - One transaction is one line, so that no reader ever sees half of it. A transaction that
//!   both sets and removes items is an `UPSERT` with `ids` beside its `items`; no id stands in
//!   both. The APIs have no request that does both, but a filter makes such lines: an item
//!   that a change takes out of the filter's sight is removed for that watcher. The simplest
//!   reader that is right looks at the members and not at the type: drop `ids`, store `items`.
//! - `RESET` replaces everything the reader had. It comes first, unless the reader asked to go
//!   on from an epoch and a revision that the server still has the changes after.
//! - `BOOKMARK` says that nothing up to its revision is missing. A reader that goes on is sent
//!   one at once when there is nothing to catch up with, and then at least one every
//!   [`BOOKMARK_INTERVAL`], so that silence means a dead peer.
//! - Members and types that a reader does not know may come with later versions. Unknown
//!   members are to be passed over; a line of an unknown type is a reason to start over.

pub mod client;
pub mod codec;
pub mod etag;
pub mod server;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::Instance;
use crate::rule::Rule;
use crate::view::Item;

/// The longest silence of a server that is alive.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(10);

/// The media type of a watch stream.
pub const NDJSON: &str = "application/x-ndjson";

/// The longest line, or plain list, that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// The most items that one line may carry and one watched set may hold.
pub const MAX_ITEMS: usize = 100_000;

/// An item that travels. Its JSON form is an object with its id as the member `id`.
pub trait Wire: Item<Id: Serialize + DeserializeOwned> + Serialize + DeserializeOwned {
    /// The member of a plain list that holds the items; also the word for them in messages.
    const LIST: &'static str;

    /// Whether a plain list names the revision beside the items.
    const LIST_HAS_REVISION: bool;

    /// Whether a reader need not be told of the step from one to the other.
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

impl Wire for Rule {
    const LIST: &'static str = "rules";
    const LIST_HAS_REVISION: bool = true;
}

impl Wire for Instance {
    const LIST: &'static str = "instances";
    const LIST_HAS_REVISION: bool = false;

    /// A heartbeat alone is no event.
    fn same(&self, other: &Self) -> bool {
        let beat = Self {
            last_heartbeat: other.last_heartbeat,
            ..self.clone()
        };
        beat == *other
    }
}
