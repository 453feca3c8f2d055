//! The objects of one kind, from the first list through every change.
//!
//! kube's watcher lists, watches, resumes and lists anew where history is gone. Here its steps
//! become whole states and changes, and its errors a pause that grows, with jitter, and a
//! sentence for people.

use std::fmt::Debug;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::{Stream, StreamExt, stream};
use kube::Api;
use kube::runtime::utils::{Backoff, StreamBackoff};
use kube::runtime::watcher::{self, Config, Event};
use serde::de::DeserializeOwned;

use crate::run::chain;

/// How many objects come in one answer to a list.
const PAGE: u32 = 500;

/// What is told of the objects.
#[derive(Debug)]
pub enum Told<K> {
    /// These are all.
    All(Vec<K>),
    /// This one is new or another than before.
    Put(K),
    /// This one is gone.
    Gone(K),
    /// The API server is away or refuses. What was told stands; it is tried on.
    Trouble(watcher::Error),
}

/// Which objects are followed.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All that there are.
    All,
    /// The one of this name.
    Named(&'a str),
}

/// Follows objects of `api`, for ever. Cancel-safe between items.
pub fn follow<K>(api: Api<K>, which: Which<'_>) -> impl Stream<Item = Told<K>> + Send + use<K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config::default().page_size(PAGE);
    let config = match which {
        Which::All => config,
        Which::Named(name) => config.fields(&format!("metadata.name={name}")),
    };
    let events = StreamBackoff::new(watcher::watcher(api, config), Pauses::new());
    let mut listed = Vec::new();
    events
        .map(move |event| match event {
            Ok(Event::Init) => {
                listed.clear();
                None
            }
            Ok(Event::InitApply(object)) => {
                listed.push(object);
                None
            }
            Ok(Event::InitDone) => Some(Told::All(std::mem::take(&mut listed))),
            Ok(Event::Apply(object)) => Some(Told::Put(object)),
            Ok(Event::Delete(object)) => Some(Told::Gone(object)),
            Err(e) => Some(Told::Trouble(e)),
        })
        .flat_map(stream::iter)
}

/// The pauses between attempts.
struct Pauses(ExponentialBackoff);

impl Pauses {
    fn new() -> Self {
        let builder = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(10))
            .with_jitter()
            .without_max_times();
        Self(builder.build())
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next()
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Self::new();
    }
}

/// Why, for people: what the API server said, which names verb and resource where it refuses.
pub fn reason(error: &watcher::Error) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(e)
        | watcher::Error::WatchStartFailed(e)
        | watcher::Error::WatchFailed(e) => return api_reason(e),
        watcher::Error::WatchError(status) => return status.message.clone(),
        watcher::Error::NoResourceVersion => "the answer to a list has no resourceVersion",
    };
    cause.to_owned()
}

/// Why a call failed, for people.
pub fn api_reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        // It says only that it is one.
        kube::Error::Service(cause) => chain(&**cause),
        error => chain(error),
    }
}
