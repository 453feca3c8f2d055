//! etcd away, back, full, and with its history gone.

use super::*;

#[tokio::test]
async fn a_watch_goes_on_where_it_was_when_etcd_is_back() {
    let mut h = InEtcd::<5>::start().await;
    let start = h
        .store
        .commit(Transaction::new().put("k/1", ""))
        .await
        .unwrap();
    let lease = h.store.grant(Duration::from_secs(60)).await.unwrap();
    h.store.keep_alive(lease).await.unwrap();
    let mut watch = h.store.watch("k/", start).await.unwrap();

    h.node.kill();
    let away = h.store.commit(Transaction::new().put("k/2", "")).await;
    assert!(matches!(away, Err(CommitError::Unavailable(_))), "{away:?}");
    let away = h.store.keep_alive(lease).await.unwrap_err();
    assert!(away.retryable(), "{away:?}");
    assert!(h.store.health().await.is_err());

    h.back().await;
    let next = h
        .store
        .commit(Transaction::new().put("k/3", ""))
        .await
        .unwrap();
    assert_eq!(next.0, start.0 + 1);
    // It may have given up meanwhile; then it is begun again from where it was.
    let batch = match watch.next().await.unwrap() {
        Ok(batch) => batch,
        Err(e) => {
            assert!(e.retryable(), "{e:?}");
            let mut again = h.store.watch("k/", start).await.unwrap();
            again.next().await.unwrap().unwrap()
        }
    };
    assert_eq!(batch.revision, next);
    h.store.keep_alive(lease).await.unwrap();
    h.finish().await;
}

#[tokio::test]
async fn a_member_that_hangs_is_left_for_another() {
    let mut hanging = Node::start(Release::System, &[]).await;
    let good = Node::start(Release::System, &[]).await;
    // Two etcds that know nothing of each other stand for two members: all that is looked at
    // here is who is asked.
    let mut both = config(&hanging.url);
    both.endpoints.push(good.url.clone());
    let (store, tasks) = store_at(&both);
    let why = Trouble::silent("the test");
    if store.members.current() != 0 {
        store.members.leave(1, &why);
    }
    store.health().await.unwrap();
    hanging.stop();
    store.health().await.unwrap();
    assert_eq!(store.members.current(), 1);
    let lease = store.grant(Duration::from_secs(60)).await.unwrap();
    store.keep_alive(lease).await.unwrap();
    hanging.kill();
    tasks.finish(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_full_etcd_is_told_until_it_has_room_again() {
    let node = Node::start(Release::System, &["--quota-backend-bytes=4194304"]).await;
    let (store, tasks) = store_at(&config(&node.url));
    store.health().await.unwrap();
    let told = loop {
        let put = Transaction::new().put("big", vec![b'x'; 1 << 19]);
        match store.commit(put).await {
            Ok(_) => {}
            Err(e) => break e.to_string(),
        }
    };
    assert!(told.contains("etcd is full"), "{told}");
    let told = store.health().await.unwrap_err().reason;
    assert!(told.contains("etcd is full"), "{told}");
    assert!(store.get("big").await.unwrap().is_some(), "reads go on");

    let now = store.range("big").await.unwrap().revision;
    let mut client = store.members.client(0).await.unwrap();
    client.compact(entry::signed(now.0), None).await.unwrap();
    client.defragment().await.unwrap();
    let (action, kind) = (
        etcd_client::AlarmAction::Deactivate,
        etcd_client::AlarmType::Nospace,
    );
    let mut member = etcd_client::AlarmOptions::new();
    let alarms = client
        .alarm(etcd_client::AlarmAction::Get, kind, None)
        .await
        .unwrap();
    member.with_member(alarms.alarms()[0].member_id());
    client.alarm(action, kind, Some(member)).await.unwrap();
    store.health().await.unwrap();
    store
        .commit(Transaction::new().put("small", ""))
        .await
        .unwrap();
    tasks.finish(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn leases_survive_a_restart_of_etcd() {
    let mut h = InEtcd::<4>::start().await;
    // etcd begins it anew when it is back: a busy machine has as long to notice.
    let ttl = Duration::from_secs(10);
    let lease = h.store.grant(ttl).await.unwrap();
    h.store
        .commit(Transaction::new().put_leased("k", "", lease))
        .await
        .unwrap();
    h.node.kill();
    tokio::time::sleep(ttl + Duration::from_secs(2)).await;
    h.back().await;
    h.store.keep_alive(lease).await.unwrap();
    assert!(h.store.get("k").await.unwrap().is_some());
    h.finish().await;
}
