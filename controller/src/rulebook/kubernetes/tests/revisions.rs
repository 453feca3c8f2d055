//! Revisions, and several controllers.

use std::collections::BTreeSet;

use a8_common::view::Update;

use super::*;

#[tokio::test]
async fn only_changes_of_rules_are_revisions() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let before = opened.add(&[("a", "s")]).await.unwrap();
    assert_eq!(opened.revision(), before);
    let mut object = cluster.get("a").unwrap();
    object["metadata"]["labels"]["more"] = json!("x");
    object["status"] = json!({"state": "valid"});
    cluster.api.put(object);
    cluster.put("bad", &json!({"destination": "s", "match": {"headers": {"A": "("}}, "route": {"backends": [{"tags": ["t"]}]}}));
    // It is as it is already.
    assert_eq!(opened.add(&[("a", "s")]).await.unwrap(), before);
    let newest = cluster.api.revision();
    let mut contents = opened.book.contents();
    contents
        .wait_for(|now| now.objects.len() == 2)
        .await
        .unwrap();
    assert!(newest > before.0);
    assert_eq!(opened.revision(), before);
    assert!(opened.update(&[("a", "t")]).await.unwrap().0 > newest);
}

#[tokio::test]
async fn controllers_that_saw_the_same_change_agree() {
    let cluster = Cluster::start().await;
    let (first, second) = (opened(&cluster).await, opened(&cluster).await);
    let revision = first.add(&[("a", "s")]).await.unwrap();
    second.shelf.reached(revision).await;
    let (one, other) = (first.shelf.snapshot(), second.shelf.snapshot());
    assert_eq!((&one.epoch, one.revision), (&other.epoch, other.revision));
    // Each goes on from what the other was told.
    let condition = IfMatch::State(one.epoch.clone().unwrap(), revision);
    let next = second
        .book
        .update(&rules(&[("a", "t")]), &condition, Mode::Commit)
        .await
        .unwrap();
    let stale = first
        .book
        .update(&rules(&[("a", "u")]), &condition, Mode::Commit)
        .await;
    assert!(matches!(stale, Err(WriteError::Moved)), "{stale:?}");
    let mut reader = first
        .shelf
        .view()
        .resume(one.epoch.as_ref().unwrap(), revision);
    let Some(Update::Change(change)) = reader.next().await else {
        panic!("it begins anew")
    };
    assert_eq!(change.revision, next);
}

/// One that begins later cannot know when the last rule was deleted.
#[tokio::test]
async fn one_that_begins_later_names_a_later_revision_for_the_same_rules() {
    let cluster = Cluster::start().await;
    let first = opened(&cluster).await;
    first.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    let told = first.remove(by_id(&["b"])).await.unwrap().revision;
    cluster.api.advance_revision(100);
    let later = opened(&cluster).await;
    assert!(later.revision() >= Revision(told.0 + 100));
    assert_eq!(later.shown(), first.shown());
    let epoch = later.shelf.snapshot().epoch.clone().unwrap();
    let mut reader = later.shelf.view().resume(&epoch, told);
    assert!(matches!(reader.next().await, Some(Update::Reset(_))));
    // The next change is one for both.
    let revision = first.add(&[("c", "s")]).await.unwrap();
    later.shelf.reached(revision).await;
    assert_eq!(later.revision(), first.revision());
}

#[tokio::test]
async fn a_bound_write_waits_for_the_view_and_holds_for_one_state_only() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let first = opened.add(&[("a", "s")]).await.unwrap();
    let second = opened.add(&[("b", "s")]).await.unwrap();
    for (condition, mode) in [
        (first, Mode::Commit),
        (first, Mode::DryRun),
        (Revision(0), Mode::Commit),
    ] {
        let condition = IfMatch::Revision(condition);
        let added = opened
            .book
            .add(&rules(&[("c", "s")]), &condition, mode)
            .await;
        assert!(matches!(added, Err(WriteError::Moved)), "{added:?}");
        let removed = opened.book.remove(&by_id(&["a"]), &condition, mode).await;
        assert!(matches!(removed, Err(WriteError::Moved)), "{removed:?}");
    }
    // Unseen by the view so far.
    cluster.put("d", &spec("s"));
    let condition = IfMatch::Revision(second);
    let late = opened
        .book
        .remove(&by_id(&["a"]), &condition, Mode::Commit)
        .await;
    assert!(matches!(late, Err(WriteError::Moved)), "{late:?}");
    let now = IfMatch::Revision(opened.revision());
    let trial = opened
        .book
        .remove(&by_id(&["a"]), &now, Mode::DryRun)
        .await
        .unwrap();
    assert_eq!(trial.revision, opened.revision());
    opened
        .book
        .remove(&Selection::default(), &now, Mode::Commit)
        .await
        .unwrap();
    assert_eq!(cluster.destinations(), names(&[]));
}

#[tokio::test]
async fn a_bound_write_that_another_got_before_is_undone() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    let now = IfMatch::Revision(opened.revision());
    let slow = Duration::from_millis(300);
    let late = move |asked: &a8_apiserver::Asked| {
        asked.is("update", "routingrules") && !asked.query.contains("dryRun")
    };
    cluster.api.delay(2, slow, late);
    let another = async {
        tokio::time::sleep(slow / 3).await;
        cluster.put("c", &spec("other"));
    };
    let change = rules(&[("a", "t"), ("b", "t")]);
    let writing = opened.book.update(&change, &now, Mode::Commit);
    let (written, ()) = tokio::join!(writing, another);
    assert!(matches!(written, Err(WriteError::Moved)), "{written:?}");
    let expected = names(&[("a", "s"), ("b", "s"), ("c", "other")]);
    assert_eq!(cluster.destinations(), expected);
    eventually("the view to have it", || opened.shown() == expected).await;
}

#[tokio::test]
async fn bound_writes_of_two_controllers_do_not_both_come_through() {
    let cluster = Cluster::start().await;
    let (first, second) = (opened(&cluster).await, opened(&cluster).await);
    first.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    for round in 0..20 {
        let at = first.revision();
        second.shelf.reached(at).await;
        let condition = IfMatch::Revision(at);
        let to = format!("r{round}");
        let (mine, yours) = (rules(&[("a", &to)]), rules(&[("b", &to)]));
        let (one, other) = tokio::join!(
            first.book.update(&mine, &condition, Mode::Commit),
            second.book.update(&yours, &condition, Mode::Commit),
        );
        let done = [one, other].into_iter().filter(Result::is_ok).count();
        let there = cluster
            .destinations()
            .values()
            .filter(|at| **at == to)
            .count();
        assert!(
            done <= 1 && there == done,
            "round {round}: {done} done, {there} there"
        );
        let newest = Revision(cluster.api.revision());
        eventually("both views to be alike", || {
            first.shelf.snapshot().revision == second.shelf.snapshot().revision
                && first.shown() == cluster.destinations()
                && first.revision() <= newest
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_written_again() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let first = opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    cluster.api.clear_requests();
    let condition = IfMatch::Any;
    let same = rules(&[("a", "s"), ("b", "s")]);
    for mode in [Mode::DryRun, Mode::Commit] {
        let again = opened.book.update(&same, &condition, mode).await.unwrap();
        assert_eq!(again, first);
    }
    let asked = cluster.api.requests();
    assert!(!asked.iter().any(|asked| asked.is("update", "routingrules")));
    // Of several, what differs.
    let second = opened.add(&[("a", "s"), ("b", "t")]).await.unwrap();
    assert!(second > first, "{second:?}");
    let asked = cluster.api.requests();
    let updates = asked
        .iter()
        .filter(|asked| asked.is("update", "routingrules"));
    let updated: BTreeSet<_> = updates.map(|asked| asked.name.as_str()).collect();
    assert_eq!(updated, BTreeSet::from(["b"]));
}
