//! Writes that fail half-way, and what is left of them.

use std::sync::atomic::{AtomicUsize, Ordering};

use a8_apiserver::Asked;

use super::*;

/// A call that is meant, of this verb; of this object, if one is named.
fn call(verb: &'static str, name: &'static str) -> impl Fn(&Asked) -> bool + Send + Sync {
    move |asked| {
        let meant = asked.is(verb, "routingrules") && !asked.query.contains("dryRun");
        meant && (name.is_empty() || asked.name == name)
    }
}

/// The deletion of this object that comes after its rehearsal, which looks the same from here.
fn deletion(name: &'static str) -> impl Fn(&Asked) -> bool + Send + Sync {
    let asked = AtomicUsize::new(0);
    move |this| call("delete", name)(this) && asked.fetch_add(1, Ordering::Relaxed) == 1
}

#[tokio::test]
async fn what_was_done_is_undone() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let before = [("a", "s"), ("b", "s"), ("c", "s"), ("d", "s")];
    opened.add(&before).await.unwrap();
    let mut marked = cluster.get("a").unwrap();
    marked["metadata"]["annotations"] = json!({"note": "mine"});
    cluster.api.put(marked);
    let unchanged = |cluster: &Cluster| {
        assert_eq!(cluster.destinations(), names(&before));
        let a = cluster.get("a").unwrap();
        assert_eq!(a["metadata"]["annotations"], json!({"note": "mine"}));
    };
    // Replaced and made.
    cluster.api.fail(1, 500, call("update", "c"));
    let change = [("a", "t"), ("b", "t"), ("c", "t"), ("new", "t")];
    let failed = opened.add(&change).await;
    assert!(
        matches!(failed, Err(WriteError::Unavailable(_))),
        "{failed:?}"
    );
    unchanged(&cluster);
    // Deleted.
    cluster.api.fail(1, 403, deletion("d"));
    let uid = |name: &str| cluster.get(name).unwrap()["metadata"]["uid"].clone();
    let former = uid("a");
    let failed = opened.remove(to("s")).await;
    assert!(matches!(failed, Err(WriteError::Denied(_))), "{failed:?}");
    unchanged(&cluster);
    assert_ne!(uid("a"), former, "it was not deleted");
    eventually("the view to have it", || opened.shown() == names(&before)).await;
    cluster.api.clear_faults();
    opened.add(&change).await.unwrap();
    assert_eq!(opened.shown().len(), 5);
}

#[tokio::test]
async fn an_api_server_that_goes_away_for_a_moment_does_not_leave_half_of_it() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    cluster
        .api
        .delay(1, Duration::from_millis(200), call("update", "b"));
    let outage = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cluster.api.stop().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        cluster.api.start_again().await;
    };
    let change = [("a", "t"), ("b", "t"), ("c", "t")];
    let (failed, ()) = tokio::join!(opened.add(&change), outage);
    assert!(
        matches!(failed, Err(WriteError::Unavailable(_))),
        "{failed:?}"
    );
    assert_eq!(cluster.destinations(), names(&[("a", "s"), ("b", "s")]));
    eventually("the view to have it", || {
        opened.shown() == cluster.destinations()
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_undone_is_told() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened
        .add(&[("a", "s"), ("b", "s"), ("c", "s")])
        .await
        .unwrap();
    cluster.api.fail(1, 500, deletion("c"));
    cluster.api.fail(1000, 500, call("create", ""));
    let failed = opened.remove(to("s")).await;
    let Err(error @ WriteError::Partly { .. }) = failed else {
        panic!("{failed:?}")
    };
    let text = error.to_string();
    assert!(
        text.contains("a (deleted)") && text.contains("b (deleted)"),
        "{text}"
    );
    assert_eq!(cluster.destinations(), names(&[("c", "s")]));
    cluster.api.clear_faults();
    // The same request again makes it whole.
    opened.remove(to("s")).await.unwrap();
    assert_eq!(cluster.destinations(), names(&[]));
}

#[tokio::test]
async fn what_others_changed_meanwhile_is_not_undone() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    let slow = Duration::from_millis(300);
    cluster.api.delay(1, slow, call("update", "b"));
    cluster.api.fail(1, 500, call("update", "b"));
    let another = async {
        eventually("a to be changed", || cluster.destinations()["a"] == "t").await;
        cluster.put("a", &spec("theirs"));
    };
    let (failed, ()) = tokio::join!(opened.update(&[("a", "t"), ("b", "t")]), another);
    assert!(
        matches!(failed, Err(WriteError::Unavailable(_))),
        "{failed:?}"
    );
    assert_eq!(
        cluster.destinations(),
        names(&[("a", "theirs"), ("b", "s")])
    );
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_goes_away() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    cluster.api.delay(100, Duration::from_millis(100), |asked| {
        asked.is("create", "routingrules")
    });
    let writing = opened.add(&[("a", "s"), ("b", "s"), ("c", "s")]);
    let given_up = tokio::time::timeout(Duration::from_millis(150), writing).await;
    assert!(given_up.is_err());
    eventually("all to be there", || cluster.destinations().len() == 3).await;
}

#[tokio::test]
async fn the_api_servers_answers_keep_their_meaning() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    cluster.api.throttle(1, 7, call("create", ""));
    let throttled = opened.add(&[("a", "s")]).await;
    assert!(
        matches!(throttled, Err(WriteError::Throttled { wait }) if wait.as_secs() == 7),
        "{throttled:?}"
    );
    for status in [500, 503, 504, 401] {
        cluster.api.fail(1, status, call("create", ""));
        let failed = opened.add(&[("a", "s")]).await;
        assert!(
            matches!(failed, Err(WriteError::Unavailable(_))),
            "{status}: {failed:?}"
        );
    }
    cluster.api.fail(1, 413, call("create", ""));
    let failed = opened.add(&[("a", "s")]).await;
    assert!(matches!(failed, Err(WriteError::Refused(_))), "{failed:?}");
    cluster.api.cut(1, call("create", ""));
    let failed = opened.add(&[("a", "s")]).await;
    assert!(
        matches!(failed, Err(WriteError::Unavailable(_))),
        "{failed:?}"
    );
    opened.add(&[("a", "s")]).await.unwrap();
    // Reads go on without it.
    cluster.api.stop().await;
    let failed = opened.add(&[("b", "s")]).await;
    assert!(
        matches!(failed, Err(WriteError::Unavailable(_))),
        "{failed:?}"
    );
    assert!(opened.book.newest().await.is_err());
    assert_eq!(opened.shown(), names(&[("a", "s")]));
}
