//! The adapter against real etcds, of the version that Debian has and of the one after it.

use std::time::Duration;

use futures_util::StreamExt;

use super::*;
use crate::config::Secret;
use crate::store::conformance::{self, Harness};
use crate::store::open::etcd::Tls;
use crate::store::{Compare, RefusedTransaction};
use crate::task::Stop;

mod access;
mod node;
mod outage;

use node::{Node, Release};

/// A store in an etcd of its own.
struct InEtcd<const R: u8> {
    node: Node,
    store: Arc<Etcd>,
    tasks: Tasks,
}

fn config(url: &str) -> Config {
    Config {
        endpoints: vec![url.to_owned()],
        user: None,
        tls: Tls::default(),
        prefix: "test".to_owned(),
    }
}

/// Another server over the same etcd.
fn store_at(config: &Config) -> (Arc<Etcd>, Tasks) {
    let tasks = Tasks::new(Stop::new());
    let store = Etcd::open(config, &tasks).unwrap();
    (Arc::new(store), tasks)
}

impl<const R: u8> Harness for InEtcd<R> {
    const TTL: Duration = Duration::from_secs(3);

    async fn start() -> Self {
        let node = Node::start(Release::of(R), &[]).await;
        let (store, tasks) = store_at(&config(&node.url));
        Self { node, store, tasks }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn forget(&self) {
        let now = self.store.range("").await.unwrap().revision;
        let mut client = self.store.members.client(0).await.unwrap();
        client.compact(entry::signed(now.0), None).await.unwrap();
    }

    async fn finish(self) {
        self.tasks.finish(Duration::from_secs(5)).await;
    }
}

mod v3_4 {
    use super::*;
    conformance::suite!(InEtcd<4>, flavor = "current_thread");
}

mod v3_5 {
    use super::*;
    conformance::suite!(InEtcd<5>, flavor = "current_thread");
}

#[tokio::test]
async fn ten_thousand_operations_are_one_transaction() {
    const MANY: usize = 10_000;
    let h = InEtcd::<4>::start().await;
    let start = h.store.range("").await.unwrap().revision;
    let mut watch = h.store.watch("k/", start).await.unwrap();
    let all = |transaction: Transaction, op: fn(Transaction, String) -> Transaction| {
        (0..MANY).fold(transaction, |tx, n| op(tx, format!("k/{n:05}")))
    };
    let puts = all(Transaction::new(), |tx, key| tx.put(key, "value"));
    let put = h.store.commit(puts).await.unwrap();
    assert_eq!(put.0, start.0 + 1);
    let batch = watch.next().await.unwrap().unwrap();
    assert_eq!((batch.revision, batch.events.len()), (put, MANY));
    assert_eq!(h.store.range("k/").await.unwrap().entries.len(), MANY);

    let unmet = Transaction::new().when(Compare::Absent("k/00000".into()));
    let unmet = all(unmet, |tx, key| tx.delete(key));
    let refused = h.store.commit(unmet).await;
    assert_eq!(refused, Err(CommitError::Compare { index: 0 }));
    let deletes = all(Transaction::new(), |tx, key| tx.delete(key));
    let deleted = h.store.commit(deletes).await.unwrap();
    let batch = watch.next().await.unwrap().unwrap();
    assert_eq!((batch.revision, batch.events.len()), (deleted, MANY));
    h.finish().await;
}

#[tokio::test]
async fn what_is_beyond_the_limits_of_etcd_is_refused_with_the_limit() {
    let h = InEtcd::<5>::start().await;
    let before = h.store.range("").await.unwrap();
    for parts in [2, 3] {
        let large = (0..parts).fold(Transaction::new(), |tx, n| {
            tx.put(format!("k/{n}"), vec![b'x'; Transaction::MAX_VALUE_BYTES])
        });
        let refused = h.store.commit(large).await.unwrap_err();
        let CommitError::Refused(RefusedTransaction::StoreLimit { limit }) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            limit.contains("too large") || limit.contains("larger than max"),
            "{limit}"
        );
    }
    assert_eq!(h.store.range("").await.unwrap(), before);
    h.finish().await;
}

#[tokio::test]
async fn servers_share_one_epoch_and_others_keys_are_left_alone() {
    let h = InEtcd::<4>::start().await;
    let mut client = h.store.members.client(0).await.unwrap();
    client.put("test-other/v1/a", "theirs", None).await.unwrap();
    client.put("test/v1/b/\u{ff}", "ours", None).await.unwrap();
    let (other, tasks) = store_at(&config(&h.node.url));
    assert_eq!(h.store.epoch().await, other.epoch().await);
    h.store
        .commit(Transaction::new().put("a", "1"))
        .await
        .unwrap();
    let all = other.range("").await.unwrap();
    let keys: Vec<_> = all.entries.iter().map(|entry| &*entry.key).collect();
    assert_eq!(keys, ["a", "b/\u{ff}", "store"]);
    other
        .commit(Transaction::new().delete_prefix(""))
        .await
        .unwrap();
    let theirs = client.get("test-other/v1/a", None).await.unwrap();
    assert_eq!(theirs.kvs().len(), 1);
    tasks.finish(Duration::from_secs(5)).await;
    h.finish().await;
}

#[tokio::test]
async fn another_layout_is_told_and_not_touched() {
    let h = InEtcd::<4>::start().await;
    let mut client = h.store.members.client(0).await.unwrap();
    for (there, said) in [
        (r#"{"layout":7,"epoch":"e"}"#, "layout 7"),
        ("x", "something else"),
    ] {
        client.put("test/v1/store", there, None).await.unwrap();
        let told = h.store.health().await.unwrap_err().reason;
        assert!(told.contains(said), "{told}");
    }
    h.finish().await;
}

#[tokio::test]
async fn a_thousand_heartbeats_at_once_are_all_answered() {
    let h = InEtcd::<4>::start().await;
    let ended = h.store.grant(h.ttl()).await.unwrap();
    h.store.revoke(ended).await.unwrap();
    let mut leases = vec![ended];
    for _ in 0..20 {
        leases.push(h.store.grant(Duration::from_secs(60)).await.unwrap());
    }
    let beats = leases
        .iter()
        .cycle()
        .take(1050)
        .map(|lease| h.store.keep_alive(*lease));
    let answers = futures_util::future::join_all(beats).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let wanted = match n % leases.len() {
            0 => Err(LeaseError::Unknown(ended)),
            _ => Ok(()),
        };
        assert_eq!(answer, wanted, "{n}");
    }
    h.finish().await;
}

impl<const R: u8> InEtcd<R> {
    fn ttl(&self) -> Duration {
        Self::TTL
    }

    /// Starts etcd again, and waits until the store knows: the first call may be told of an
    /// attempt to connect that was begun before.
    async fn back(&mut self) {
        self.node.resume().await;
        let known = async {
            while self.store.get("k").await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), known)
            .await
            .unwrap();
    }
}
