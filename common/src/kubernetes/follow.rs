//! The objects of one kind, from the first list through every change: the one way in which we
//! follow a cluster. The sidecar's sources, the registry's catalog and the controller's book
//! are its callers.
//!
//! Objects are listed, then watched from the list's version on. A watch that ends is begun
//! again where it stood; where that is no longer known (410), they are listed anew. That a
//! watch breaks is nothing to tell of: whether the API server is away shows when the next one
//! begins. Failed attempts are repeated with growing pauses, with jitter, for ever. The terms are
//! those of [the Kubernetes API][concepts].
//!
//! It is not kube's watcher, which keeps the versions of lists to itself, tells nothing when a
//! watch was begun again, and goes on with an old version where a kind was taken away.
//!
//! [concepts]: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes

mod pauses;
mod steps;
#[cfg(test)]
mod tests;
mod wire;

use std::future::ready;

use futures_util::{Stream, StreamExt, stream};
use kube::Client;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tracing::warn;

use self::steps::{Follower, Step};
use super::Resource;
use crate::run::{chain, shortened};

/// Of what the API server says, so much is told on, in bytes.
const MAX_REASON: usize = 600;

/// What is told of the objects.
#[derive(Debug)]
pub enum Told<K> {
    /// These are all.
    All {
        /// The objects.
        objects: Vec<K>,
        /// As of which `resourceVersion`.
        version: String,
    },
    /// This one is new or another than before.
    Put(K),
    /// This one is gone.
    Gone(K),
    /// The API server was heard of: there is nothing else up to this `resourceVersion`.
    Reached(String),
    /// The API server does not know the kind, and lists what it knows instead. It is asked
    /// again; if the kind comes back, [`All`](Told::All) is told.
    NoSuchKind,
    /// The API server is away or refuses. What was told stands; it is tried on.
    Trouble(Trouble),
}

/// Why nothing is heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// For people: what the API server said, which names verb and resource where it refuses.
    pub reason: String,
    /// Whether it knows us not, or does not let us: that does not pass by itself.
    pub refused: bool,
}

/// Which objects are followed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of which kind.
    pub resource: Resource,
    /// Of one namespace, or of the cluster.
    pub namespace: Option<&'a str>,
    /// The one of this name, or all.
    pub name: Option<&'a str>,
}

/// Follows objects, for ever. One that cannot be read as a `K` is left out, and logged.
/// Cancel-safe between items.
pub fn follow<K>(client: Client, wanted: Wanted<'_>) -> impl Stream<Item = Told<K>> + Send + use<K>
where
    K: DeserializeOwned + Send + 'static,
{
    let plural = wanted.resource.plural;
    let read = move |object: Box<RawValue>| match serde_json::from_str(object.get()) {
        Ok(object) => Some(object),
        Err(e) => {
            warn!(resource = plural, error = %e, "an object that cannot be read is left out");
            None
        }
    };
    let mut listed = Vec::new();
    let steps = stream::unfold(Follower::new(client, wanted), |mut follower| async {
        Some((follower.next().await, follower))
    });
    steps.filter_map(move |step| {
        ready(match step {
            Step::Page { first, objects } => {
                if first {
                    listed.clear();
                }
                listed.extend(objects.into_iter().filter_map(read));
                None
            }
            Step::Listed(version) => Some(Told::All {
                objects: std::mem::take(&mut listed),
                version,
            }),
            Step::Put(object) => read(object).map(Told::Put),
            Step::Gone(object) => read(object).map(Told::Gone),
            Step::Reached(version) => Some(Told::Reached(version)),
            Step::NoSuchKind => Some(Told::NoSuchKind),
            Step::Trouble(trouble) => Some(Told::Trouble(trouble)),
        })
    })
}

/// Why a call failed, for people.
pub fn api_reason(error: &kube::Error) -> String {
    let reason = match error {
        kube::Error::Api(status) => status.message.clone(),
        // It says only that it is one.
        kube::Error::Service(cause) => chain(&**cause),
        error => chain(error),
    };
    shortened(reason, MAX_REASON)
}

/// What is lacking, if `message` is what role-based access control says: out of `... User "x"
/// cannot create resource "routingrules" in API group "amalgam8.io" in the namespace "y"`,
/// without who we are, or out of several of these. Other refusals tell of the object.
pub fn lacking_permission(message: &str) -> Option<String> {
    let one = |message: &str| {
        let (_, after) = message.split_once(" cannot ")?;
        let after = after.replacen(" resource ", " ", 1);
        Some(after.replacen(" in API group \"\"", "", 1).replace('"', ""))
    };
    let all = message.split("; ").filter_map(one).collect::<Vec<_>>();
    message
        .contains("is forbidden: User ")
        .then(|| all.join("; "))
}

impl From<&kube::Error> for Trouble {
    fn from(error: &kube::Error) -> Self {
        Self {
            reason: api_reason(error),
            refused: matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403)),
        }
    }
}
