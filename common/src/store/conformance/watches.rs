use super::*;
use crate::model::Revision;
use crate::store::{Compare, Transaction, WatchError};

pub(crate) async fn a_watch_goes_on_from_its_revision(h: &impl Harness) {
    let store = h.store();
    let mut revisions = Vec::new();
    for i in 0..4 {
        let put = Transaction::new().put(format!("k{i}"), "1");
        revisions.push(store.commit(put).await.unwrap());
    }
    let mut watch = store.watch("k", revisions[1]).await.unwrap();
    assert_eq!(short(&next(&mut watch).await), ["+k2"]);
    assert_eq!(short(&next(&mut watch).await), ["+k3"]);
    let later = store.commit(Transaction::new().delete("k0")).await.unwrap();
    let batch = next(&mut watch).await;
    assert_eq!((batch.revision, short(&batch)), (later, vec!["-k0".into()]));
}

pub(crate) async fn a_transaction_is_one_batch_cut_down_to_the_prefix(h: &impl Harness) {
    let store = h.store();
    let start = store.range("").await.unwrap().revision;
    let mut watch = store.watch("a/", start).await.unwrap();
    let mut all = store.watch("", start).await.unwrap();
    let put = |tx: Transaction| store.commit(tx);
    put(Transaction::new().put("b/1", "")).await.unwrap();
    let both = Transaction::new()
        .put("a/1", "")
        .put("b/2", "")
        .put("a/2", "");
    let both = put(both).await.unwrap();
    let gone = Transaction::new()
        .when(Compare::Exists("a/1".into()))
        .delete_prefix("a/");
    put(gone).await.unwrap();

    let batch = next(&mut watch).await;
    assert_eq!(
        (batch.revision, short(&batch)),
        (both, vec!["+a/1".into(), "+a/2".into()])
    );
    assert_eq!(short(&next(&mut watch).await), ["-a/1", "-a/2"]);
    assert_eq!(short(&next(&mut all).await), ["+b/1"]);
    assert_eq!(next(&mut all).await.events.len(), 3);
}

pub(crate) async fn many_watchers_see_everything_in_order(h: &impl Harness) {
    const WATCHERS: usize = 100;
    const CHANGES: u64 = 50;
    let store = h.store();
    let start = store.range("").await.unwrap().revision;
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let mut watch = store.watch("k/", start).await.unwrap();
        watchers.spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..CHANGES {
                seen.push(next(&mut watch).await.revision);
            }
            seen
        });
    }
    for i in 0..CHANGES {
        let put = Transaction::new().put(format!("k/{}", i % 7), "1");
        store.commit(put).await.unwrap();
    }
    let wanted: Vec<_> = (1..=CHANGES).map(|n| Revision(start.0 + n)).collect();
    while let Some(seen) = watchers.join_next().await {
        assert_eq!(seen.unwrap(), wanted);
    }
}

/// Writes more than any adapter may keep for its watchers; the last revision.
async fn write_beyond_the_history(h: &impl Harness) -> Revision {
    let mut last = Revision(0);
    for i in 0..20 {
        let big = vec![i; Transaction::MAX_VALUE_BYTES];
        let put = Transaction::new().put("k/big", big);
        last = h.store().commit(put).await.unwrap();
    }
    h.forget().await;
    last
}

pub(crate) async fn a_watcher_that_fell_behind_is_told_and_lists_again(h: &impl Harness) {
    let store = h.store();
    let start = store
        .commit(Transaction::new().put("k/1", "1"))
        .await
        .unwrap();
    let mut slow = store.watch("k/", start).await.unwrap();
    let mut elsewhere = store.watch("j/", start).await.unwrap();
    let put = Transaction::new().put("j/1", "1");
    store.commit(put).await.unwrap();
    next(&mut elsewhere).await;
    let last = write_beyond_the_history(h).await;

    // It may have been told all before it was forgotten, but never a part without a word.
    let mut seen = Vec::new();
    loop {
        match slow.next().await.expect("an end comes first") {
            Ok(batch) => seen.push(batch.revision),
            Err(WatchError::Compacted { .. }) => {
                assert!(slow.next().await.is_none(), "nothing comes after an error");
                break;
            }
            Err(e) => panic!("{e}"),
        }
        if seen.last() == Some(&last) {
            assert_eq!(seen.len(), 20);
            break;
        }
    }
    // At once, or as the first word of the stream.
    let told = match store.watch("k/", start).await {
        Ok(mut watch) => watch.next().await.expect("a word").err(),
        Err(e) => Some(e),
    };
    assert!(
        matches!(told, Some(WatchError::Compacted { .. })),
        "{told:?}"
    );

    let range = store.range("k/").await.unwrap();
    let mut watch = store.watch("k/", range.revision).await.unwrap();
    store
        .commit(Transaction::new().delete("k/1"))
        .await
        .unwrap();
    assert_eq!(short(&next(&mut watch).await), ["-k/1"]);
}

pub(crate) async fn a_revision_that_has_not_been_cannot_be_watched_from(h: &impl Harness) {
    let store = h.store();
    let now = store.range("").await.unwrap().revision;
    let after = Revision(now.0 + 1);
    let refused = store.watch("", after).await.err();
    assert_eq!(refused, Some(WatchError::Compacted { after }));
}
