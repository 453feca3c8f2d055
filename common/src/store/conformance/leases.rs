use super::*;
use crate::store::{CommitError, LeaseError, LeaseId, Transaction};

/// More than a store may be late to end a lease.
const LATE: Duration = Duration::from_secs(3);

pub(crate) async fn a_lease_that_nobody_keeps_alive_takes_its_keys_along<H: Harness>(h: &H) {
    let store = h.store();
    let lease = store.grant(H::TTL).await.unwrap();
    let put = Transaction::new()
        .put_leased("a", "1", lease)
        .put_leased("b", "1", lease)
        .put("c", "1");
    let revision = store.commit(put).await.unwrap();
    let mut watch = store.watch("", revision).await.unwrap();

    h.pass(H::TTL * 2 / 3).await;
    assert_eq!(keys(&store, "").await, ["a", "b", "c"]);
    h.pass(H::TTL / 3 + LATE).await;
    let batch = next(&mut watch).await;
    assert_eq!(batch.revision.0, revision.0 + 1);
    assert_eq!(short(&batch), ["-a", "-b"]);
    assert_eq!(keys(&store, "").await, ["c"]);

    let unknown = LeaseError::Unknown(lease);
    assert_eq!(store.keep_alive(lease).await, Err(unknown.clone()));
    assert_eq!(store.revoke(lease).await, Err(unknown));
    let put = Transaction::new().put_leased("a", "1", lease);
    assert_eq!(
        store.commit(put).await,
        Err(CommitError::UnknownLease(lease))
    );
}

pub(crate) async fn a_lease_kept_alive_stays_without_a_trace_in_the_history<H: Harness>(h: &H) {
    let store = h.store();
    let lease = store.grant(H::TTL).await.unwrap();
    let put = Transaction::new().put_leased("a", "1", lease);
    let revision = store.commit(put).await.unwrap();
    for _ in 0..6 {
        h.pass(H::TTL / 3).await;
        assert_eq!(store.keep_alive(lease).await, Ok(()));
    }
    let now = store.range("").await.unwrap();
    assert_eq!((now.revision, now.entries.len()), (revision, 1));
    h.pass(H::TTL + LATE).await;
    assert!(keys(&store, "").await.is_empty());
}

pub(crate) async fn a_revoked_lease_is_gone_with_its_keys<H: Harness>(h: &H) {
    let store = h.store();
    let (a, b) = (
        store.grant(H::TTL).await.unwrap(),
        store.grant(H::TTL).await.unwrap(),
    );
    assert_ne!(a, b);
    let put = Transaction::new()
        .put_leased("a", "1", a)
        .put_leased("b", "1", b);
    let revision = store.commit(put).await.unwrap();
    assert_eq!(store.revoke(a).await, Ok(()));
    assert_eq!(keys(&store, "").await, ["b"]);
    assert_eq!(store.range("").await.unwrap().revision.0, revision.0 + 1);
    assert_eq!(store.keep_alive(a).await, Err(LeaseError::Unknown(a)));
    assert_eq!(store.keep_alive(b).await, Ok(()));
    let never = LeaseId(u64::MAX >> 1);
    assert_eq!(
        store.keep_alive(never).await,
        Err(LeaseError::Unknown(never))
    );
}

pub(crate) async fn a_key_belongs_to_the_lease_of_its_last_put<H: Harness>(h: &H) {
    let store = h.store();
    let (old, new) = (
        store.grant(H::TTL).await.unwrap(),
        store.grant(H::TTL).await.unwrap(),
    );
    let put = Transaction::new()
        .put_leased("moved", "1", old)
        .put_leased("freed", "1", old)
        .put_leased("kept", "1", old);
    store.commit(put).await.unwrap();
    let put = Transaction::new()
        .put_leased("moved", "2", new)
        .put("freed", "2");
    store.commit(put).await.unwrap();
    assert_eq!(store.get("moved").await.unwrap().unwrap().lease, Some(new));
    assert_eq!(store.get("freed").await.unwrap().unwrap().lease, None);

    store.revoke(old).await.unwrap();
    assert_eq!(keys(&store, "").await, ["freed", "moved"]);
    store.revoke(new).await.unwrap();
    assert_eq!(keys(&store, "").await, ["freed"]);
}
