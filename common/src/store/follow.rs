//! Following what a store holds below a prefix: load it all, then every change, for as long
//! as it takes. The one loop of every server that answers from memory what a store keeps.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tracing::{info, warn};

use super::error::{Unavailable, WatchError};
use super::transaction::Batch;
use super::{Range, Store};
use crate::http::{Condition, Health};
use crate::model::{Epoch, Revision};
use crate::task::{Stop, Tasks};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a store is asked whether it can be written.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What becomes of what a store holds. Calls come from one task, in order.
pub trait Follower: Send {
    /// Everything below the prefix, at the beginning and after falling behind.
    fn load(&mut self, epoch: &Epoch, everything: Range);
    /// One transaction.
    fn apply(&mut self, batch: Batch);
}

/// Serves from `store`: tells `follower` of everything below `prefix`, by tasks of `tasks`.
///
/// `health` says under `data` whether what the store holds has been read and is being
/// followed, and under `store` whether it can be written. A server whose store is away is not
/// ready; what it has read it may go on to answer from.
pub fn serve_from(
    store: Arc<dyn Store>,
    prefix: &'static str,
    follower: impl Follower + 'static,
    tasks: &Tasks,
    health: &Health,
) {
    let (data, writable) = (health.condition("data"), health.condition("store"));
    let stop = tasks.stop();
    let checking = check(store.clone(), writable, stop.clone());
    tasks.spawn("store-check", checking);
    let following = follow(store, prefix, follower, data, stop.clone());
    tasks.spawn("store-follower", following);
}

/// Says whether the store can be written, again and again.
async fn check(store: Arc<dyn Store>, writable: Condition, stop: Stop) {
    let checking = async {
        loop {
            match store.health().await {
                Ok(()) => writable.good(),
                Err(e) => writable.bad(e.to_string()),
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    };
    stop.race(checking).await;
}

/// Tells `follower` of everything below `prefix` until `stop` fires.
async fn follow(
    store: Arc<dyn Store>,
    prefix: &str,
    mut follower: impl Follower,
    data: Condition,
    stop: Stop,
) {
    let mut at: Option<Revision> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let following = go_on(&*store, prefix, &mut follower, &data, &mut at, &mut pause);
        match stop.race(following).await {
            None => return,
            Some(WatchError::Compacted { after }) => {
                info!(%after, prefix, "fell behind the store, reading it anew");
                at = None;
            }
            Some(WatchError::Unavailable(e)) => {
                warn!(error = %e, prefix, "the store is away");
                data.bad(e.to_string());
                // Jitter, so that many servers do not come back to it all at once.
                let wait = tokio::time::sleep(pause.mul_f64(fastrand::f64() + 0.5));
                if stop.race(wait).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Goes on from `at`, or loads everything first. Returns only when it cannot go on.
async fn go_on(
    store: &dyn Store,
    prefix: &str,
    follower: &mut impl Follower,
    data: &Condition,
    at: &mut Option<Revision>,
    pause: &mut Duration,
) -> WatchError {
    let from = match *at {
        Some(revision) => revision,
        None => {
            let everything = async { Ok((store.epoch().await?, store.range(prefix).await?)) };
            match everything.await {
                Ok((epoch, everything)) => {
                    let revision = everything.revision;
                    follower.load(&epoch, everything);
                    revision
                }
                Err(e) => return WatchError::Unavailable(e),
            }
        }
    };
    *at = Some(from);
    let mut watch = match store.watch(prefix, from).await {
        Ok(watch) => watch,
        Err(e) => return e,
    };
    data.good();
    *pause = FIRST_PAUSE;
    while let Some(batch) = watch.next().await {
        match batch {
            Ok(batch) => {
                *at = Some(batch.revision);
                follower.apply(batch);
            }
            Err(e) => return e,
        }
    }
    Unavailable::because("the watch ended").into()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures_util::stream;

    use super::*;
    use crate::store::{CommitError, Entry, LeaseError, LeaseId, Transaction, Watch};

    type Answer = Result<Vec<Result<Batch, WatchError>>, WatchError>;

    /// Answers each watch with the next script; says from where it was asked for.
    struct Scripted {
        watches: Mutex<VecDeque<Answer>>,
        asked: Mutex<Vec<u64>>,
        stop: Stop,
    }

    fn away() -> Unavailable {
        Unavailable::because("pulled out")
    }

    #[async_trait]
    impl Store for Scripted {
        async fn epoch(&self) -> Result<Epoch, Unavailable> {
            Ok(Epoch::named("e"))
        }
        async fn revision(&self) -> Result<Revision, Unavailable> {
            Err(away())
        }
        async fn get(&self, _: &str) -> Result<Option<Arc<Entry>>, Unavailable> {
            Err(away())
        }
        async fn range(&self, _: &str) -> Result<Range, Unavailable> {
            let revision = Revision(10);
            let entries = Vec::new();
            Ok(Range { revision, entries })
        }
        async fn commit(&self, _: Transaction) -> Result<Revision, CommitError> {
            Err(away().into())
        }
        async fn grant(&self, _: Duration) -> Result<LeaseId, Unavailable> {
            Err(away())
        }
        async fn keep_alive(&self, _: LeaseId) -> Result<(), LeaseError> {
            Err(away().into())
        }
        async fn revoke(&self, _: LeaseId) -> Result<(), LeaseError> {
            Err(away().into())
        }
        async fn watch(&self, _: &str, after: Revision) -> Result<Watch, WatchError> {
            self.asked.lock().unwrap().push(after.0);
            let Some(answer) = self.watches.lock().unwrap().pop_front() else {
                self.stop.fire();
                return Ok(Box::pin(stream::pending()));
            };
            Ok(Box::pin(stream::iter(answer?)))
        }
        async fn health(&self) -> Result<(), Unavailable> {
            Ok(())
        }
    }

    /// Writes down what it is told.
    struct Diary(Arc<Mutex<Vec<String>>>, Health);

    impl Diary {
        fn note(&self, text: impl Into<String>) {
            let ready = if self.1.is_ready() {
                " while ready"
            } else {
                ""
            };
            self.0.lock().unwrap().push(text.into() + ready);
        }
    }

    impl Follower for Diary {
        fn load(&mut self, _: &Epoch, everything: Range) {
            self.note(format!("load {}", everything.revision));
        }
        fn apply(&mut self, batch: Batch) {
            self.note(format!("apply {}", batch.revision));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_where_it_was_and_begins_anew_only_where_it_must() {
        let batch = |revision| {
            let revision = Revision(revision);
            let events = Vec::new();
            Ok(Batch { revision, events })
        };
        let compacted = WatchError::Compacted {
            after: Revision(12),
        };
        let script = [
            Ok(vec![batch(11), batch(12), Err(away().into())]),
            Err(away().into()),
            Ok(vec![batch(13), Err(compacted)]),
        ];
        let stop = Stop::new();
        let store = Arc::new(Scripted {
            watches: Mutex::new(script.into()),
            asked: Mutex::default(),
            stop: stop.clone(),
        });
        let (diary, health) = (Arc::new(Mutex::new(Vec::new())), Health::new());
        let follower = Diary(diary.clone(), health.clone());
        let data = health.condition("data");
        follow(store.clone(), "p/", follower, data, stop).await;
        assert_eq!(*store.asked.lock().unwrap(), [10, 12, 12, 10]);
        let told = diary.lock().unwrap().join(", ");
        let before = "load 10, apply 11 while ready, apply 12 while ready";
        let after = "apply 13 while ready, load 10 while ready";
        assert_eq!(told, format!("{before}, {after}"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_is_told_until_it_is_back() {
        let tasks = Tasks::new(Stop::new());
        let health = Health::new();
        let away_once = [Ok(vec![Err(away().into())])];
        let store = Arc::new(Scripted {
            watches: Mutex::new(away_once.into()),
            asked: Mutex::default(),
            stop: Stop::new(),
        });
        let diary = Diary(Arc::default(), health.clone());
        serve_from(store, "p/", diary, &tasks, &health);
        let mut seen = Vec::new();
        while seen != [false, true] {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let ready = health.is_ready();
            if seen.last() != Some(&ready) {
                seen.push(ready);
            }
        }
        tasks.finish(Duration::from_secs(1)).await;
    }
}
