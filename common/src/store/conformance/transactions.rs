use super::*;
use crate::model::Revision;
use crate::store::{CommitError, Compare, RefusedTransaction, Transaction};

pub(crate) async fn revisions_tell_when_an_entry_was_made_and_changed(h: &impl Harness) {
    let store = h.store();
    let start = store.range("").await.unwrap().revision;
    let first = store
        .commit(Transaction::new().put("a", "1"))
        .await
        .unwrap();
    assert_eq!(first, Revision(start.0 + 1));
    let other = store
        .commit(Transaction::new().put("b", "1"))
        .await
        .unwrap();
    let second = store
        .commit(Transaction::new().put("a", "2"))
        .await
        .unwrap();
    assert_eq!((other.0, second.0), (first.0 + 1, first.0 + 2));

    let a = store.get("a").await.unwrap().unwrap();
    assert_eq!((&*a.key, &*a.value), ("a", b"2".as_slice()));
    assert_eq!((a.create_revision, a.mod_revision), (first, second));
    store.commit(Transaction::new().delete("a")).await.unwrap();
    assert_eq!(store.get("a").await, Ok(None));
    let again = store
        .commit(Transaction::new().put("a", "3"))
        .await
        .unwrap();
    assert_eq!(
        store.get("a").await.unwrap().unwrap().create_revision,
        again
    );
}

pub(crate) async fn a_range_holds_what_starts_with_the_prefix(h: &impl Harness) {
    let store = h.store();
    let put = Transaction::new()
        .put("n/2", "")
        .put("n/10", "")
        .put("n", "")
        .put("m/1", "")
        .put("nn/1", "");
    let revision = store.commit(put).await.unwrap();
    assert_eq!(store.range("n/").await.unwrap().revision, revision);
    assert_eq!(keys(&store, "n/").await, ["n/10", "n/2"]);
    assert_eq!(keys(&store, "").await, ["m/1", "n", "n/10", "n/2", "nn/1"]);
    assert!(keys(&store, "x").await.is_empty());

    let delete = Transaction::new().delete_prefix("n/").put("o", "");
    store.commit(delete).await.unwrap();
    assert_eq!(keys(&store, "").await, ["m/1", "n", "nn/1", "o"]);
}

pub(crate) async fn a_failed_compare_is_named_and_nothing_is_done(h: &impl Harness) {
    let store = h.store();
    store
        .commit(Transaction::new().put("a", "1"))
        .await
        .unwrap();
    let before = store.range("").await.unwrap();
    let refused = Transaction::new()
        .when(Compare::Exists("a".into()))
        .when(Compare::Absent("b".into()))
        .when(Compare::Exists("b".into()))
        .put("c", "1")
        .delete("a");
    assert_eq!(
        store.commit(refused).await,
        Err(CommitError::Compare { index: 2 })
    );
    assert_eq!(store.range("").await.unwrap(), before);
}

pub(crate) async fn every_compare_holds_when_it_should(h: &impl Harness) {
    let store = h.store();
    let lease = store.grant(Duration::from_secs(60)).await.unwrap();
    let put = Transaction::new().put("a", "1").put_leased("b", "1", lease);
    let revision = store.commit(put).await.unwrap();
    let none = Revision(0);
    for (compare, holds) in [
        (Compare::Exists("a".into()), true),
        (Compare::Exists("x".into()), false),
        (Compare::Absent("a".into()), false),
        (Compare::Absent("x".into()), true),
        (Compare::ModRevision("a".into(), revision), true),
        (Compare::ModRevision("a".into(), none), false),
        (Compare::ModRevision("x".into(), none), true),
        (Compare::ModRevision("x".into(), revision), false),
        (Compare::Lease("a".into(), None), true),
        (Compare::Lease("a".into(), Some(lease)), false),
        (Compare::Lease("b".into(), Some(lease)), true),
        (Compare::Lease("b".into(), None), false),
        (Compare::Lease("x".into(), None), false),
    ] {
        let answer = store.commit(Transaction::new().when(compare.clone())).await;
        let wanted = match holds {
            true => Ok(revision),
            false => Err(CommitError::Compare { index: 0 }),
        };
        assert_eq!(answer, wanted, "{compare:?}");
    }
}

pub(crate) async fn what_changes_nothing_makes_no_revision(h: &impl Harness) {
    let store = h.store();
    let revision = store
        .commit(Transaction::new().put("a", "1"))
        .await
        .unwrap();
    for nothing in [
        Transaction::new(),
        Transaction::new().delete("b"),
        Transaction::new().delete_prefix("b/"),
    ] {
        assert_eq!(store.commit(nothing).await, Ok(revision));
    }
    // The same value again is a change: it may be attached to another lease.
    let again = store.commit(Transaction::new().put("a", "1")).await;
    assert_eq!(again, Ok(Revision(revision.0 + 1)));
}

pub(crate) async fn impossible_transactions_are_refused(h: &impl Harness) {
    let store = h.store();
    let before = store.range("").await.unwrap();
    assert_eq!(store.revision().await, Ok(before.revision));
    let twice = Transaction::new().put("a", "1").delete("a");
    assert_eq!(
        store.commit(twice).await,
        Err(RefusedTransaction::TouchedTwice("a".into()).into())
    );
    let large = Transaction::new().put("a", vec![0; Transaction::MAX_VALUE_BYTES + 1]);
    assert!(matches!(
        store.commit(large).await,
        Err(CommitError::Refused(_))
    ));
    assert_eq!(store.range("").await.unwrap(), before);
}

pub(crate) async fn concurrent_transactions_happen_one_after_the_other(h: &impl Harness) {
    const WRITERS: u64 = 16;
    const EACH: u64 = 8;
    let store = h.store();
    let start = store.range("").await.unwrap().revision;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = store.clone();
        writers.spawn(async move {
            let mut done = Vec::new();
            while done.len() < EACH as usize {
                done.extend(increment(&store).await);
            }
            done
        });
    }
    let mut revisions = writers.join_all().await.concat();
    revisions.sort();
    let wanted = (1..=WRITERS * EACH).map(|n| Revision(start.0 + n));
    assert_eq!(revisions, wanted.collect::<Vec<_>>());
    let total = store.get("n").await.unwrap().unwrap();
    assert_eq!(total.value, (WRITERS * EACH).to_string());
}

/// Adds one, unless somebody else did in between.
async fn increment(store: &Arc<dyn Store>) -> Option<Revision> {
    let now = store.get("n").await.unwrap();
    let number = |e: &crate::store::Entry| -> u64 {
        std::str::from_utf8(&e.value).unwrap().parse().unwrap()
    };
    let next = now.as_deref().map_or(0, number) + 1;
    let seen = now.map_or(Revision(0), |e| e.mod_revision);
    let add = Transaction::new()
        .when(Compare::ModRevision("n".into(), seen))
        .put("n", next.to_string());
    match store.commit(add).await {
        Ok(revision) => Some(revision),
        Err(CommitError::Compare { index: 0 }) => None,
        Err(e) => panic!("{e}"),
    }
}
