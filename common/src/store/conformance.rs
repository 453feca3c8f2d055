//! What every adapter of the port must do, written once.
//!
//! An adapter implements [`Harness`] in its tests and calls [`suite!`], which makes one test of
//! every function below.

mod leases;
mod model;
mod transactions;
mod watches;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::{Batch, Event, Store, Watch};

pub(super) use leases::*;
pub(super) use model::*;
pub(super) use transactions::*;
pub(super) use watches::*;

/// One empty store under test.
pub(super) trait Harness: Sized {
    /// The time to live of the leases in these tests: long where the clock is paused, and as
    /// short as the store allows where it is not.
    const TTL: Duration;
    fn start() -> impl Future<Output = Self>;
    fn store(&self) -> Arc<dyn Store>;
    /// Lets time go by for the store's leases.
    fn pass(&self, time: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(time)
    }
    /// Forgets the history, in a store that does not do so by itself.
    fn forget(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
    fn finish(self) -> impl Future<Output = ()>;
}

/// Makes one test of each function; the arguments after the harness go to `tokio::test`.
macro_rules! suite {
    ($harness:ty $(, $arg:ident = $value:expr)*) => {
        $crate::store::conformance::tests!($harness, ($(, $arg = $value)*):
            revisions_tell_when_an_entry_was_made_and_changed,
            a_range_holds_what_starts_with_the_prefix,
            a_failed_compare_is_named_and_nothing_is_done,
            every_compare_holds_when_it_should,
            what_changes_nothing_makes_no_revision,
            impossible_transactions_are_refused,
            concurrent_transactions_happen_one_after_the_other,
            a_lease_that_nobody_keeps_alive_takes_its_keys_along,
            a_lease_kept_alive_stays_without_a_trace_in_the_history,
            a_revoked_lease_is_gone_with_its_keys,
            a_key_belongs_to_the_lease_of_its_last_put,
            a_watch_goes_on_from_its_revision,
            a_transaction_is_one_batch_cut_down_to_the_prefix,
            many_watchers_see_everything_in_order,
            a_watcher_that_fell_behind_is_told_and_lists_again,
            a_revision_that_has_not_been_cannot_be_watched_from,
            random_transactions_do_what_a_simple_model_does,
        );
    };
}
macro_rules! tests {
    ($harness:ty, $args:tt: $($name:ident),* $(,)?) => {
        $($crate::store::conformance::test!($harness, $args, $name);)*
    };
}
macro_rules! test {
    ($harness:ty, (, $($args:tt)*), $name:ident) => {
        #[tokio::test($($args)*)]
        async fn $name() {
            $crate::store::conformance::run(
                <$harness as $crate::store::conformance::Harness>::start().await,
                async |h| $crate::store::conformance::$name(h).await,
            )
            .await;
        }
    };
}
pub(super) use {suite, test, tests};

pub(super) async fn run<H: Harness>(harness: H, test: impl AsyncFnOnce(&H)) {
    test(&harness).await;
    harness.finish().await;
}

/// The next batch; fails the test when none comes in time.
async fn next(watch: &mut Watch) -> Batch {
    // Long in a paused clock costs nothing; in a real one it is only reached by a failure.
    tokio::time::timeout(Duration::from_secs(20), watch.next())
        .await
        .expect("a batch within 20 s")
        .expect("the watch goes on")
        .expect("no error")
}

/// `+key` and `-key` for each event of a batch.
fn short(batch: &Batch) -> Vec<String> {
    let of = |event: &Event| match event {
        Event::Put(entry) => format!("+{}", entry.key),
        Event::Delete(key) => format!("-{key}"),
    };
    batch.events.iter().map(of).collect()
}

async fn keys(store: &Arc<dyn Store>, prefix: &str) -> Vec<String> {
    let range = store.range(prefix).await.unwrap();
    range.entries.iter().map(|e| e.key.to_string()).collect()
}
