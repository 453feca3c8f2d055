use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::IntoResponse;
use http::StatusCode;

use super::kit::*;
use crate::model::{Epoch, Instance, Revision};
use crate::task::Tasks;

fn instances(ids: &[&str], beat: &str) -> &'static str {
    let one = |id: &&str| {
        format!(
            r#"{{"id":"{id}","service_name":"s","endpoint":{{"type":"http","value":"h:1"}},"status":"UP","ttl":30,"last_heartbeat":"{beat}"}}"#
        )
    };
    let all = ids.iter().map(one).collect::<Vec<_>>().join(",");
    Box::leak(format!(r#"{{"instances":[{all}]}}"#).into_boxed_str())
}

const EARLY: &str = "2016-11-01T10:00:00Z";
const LATE: &str = "2016-11-01T10:00:15.123456789Z";

/// The original registry refuses a query that it does not know.
#[tokio::test]
async fn an_original_registry_is_polled() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(refusal(400, r#"{"Error":"bad filter"}"#))
        .then(list(instances(&["a", "b", "c"], EARLY)))
        .then(list(instances(&["a", "b", "c"], LATE)))
        .then(list(instances(&["a", "b"], LATE)));
    let mut client = watching::<Instance>(&script.serve(&tasks).await, PATIENT);
    assert_eq!(client.next().await, "reset 1 [\"a\", \"b\", \"c\"]");
    // Heartbeats alone are no event.
    assert_eq!(client.next().await, "change 2 +[] -[\"c\"]");
    client.well().await;
    // A watch is tried again, now and then.
    until(|| script.asked().len() > 12).await;
    let watches: Vec<usize> = (0..12)
        .filter(|i| script.asked()[*i] == "watch=true")
        .collect();
    assert_eq!(watches, [0, 11]);
}

#[tokio::test]
async fn an_original_registry_that_lost_its_instances_is_of_a_new_epoch() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(refusal(400, ""))
        .then(list(instances(&["a", "b", "c"], EARLY)))
        .then(list(r#"{"instances":null}"#))
        .then(list(instances(&["a"], EARLY)));
    let mut client = watching::<Instance>(&script.serve(&tasks).await, PATIENT);
    assert_eq!(client.next().await, "reset 1 [\"a\", \"b\", \"c\"]");
    let before = client.epoch();
    assert_eq!(client.next().await, "reset 1 []");
    assert_ne!(client.epoch(), before);
    assert_eq!(client.next().await, "change 2 +[\"a\"] -[]");
}

#[tokio::test]
async fn an_original_controller_is_polled_by_the_same_question() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(list(r#"{"rules":[{"id":"a","text":"1"}],"revision":3}"#))
        .then(list(r#"{"rules":[{"id":"a","text":"2"}],"revision":4}"#))
        .then(list(r#"{"rules":[],"revision":5}"#));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    assert_eq!(client.next().await, "reset 3 [\"a\"]");
    assert_eq!(client.next().await, "change 4 +[\"a\"] -[]");
    assert_eq!(client.next().await, "change 5 +[] -[\"a\"]");
    assert!(script.asked().iter().all(|query| query == "watch=true"));
}

#[tokio::test]
async fn an_original_controller_that_restarted_is_of_a_new_epoch() {
    for again in [
        r#"{"rules":[{"id":"b","text":"1"}],"revision":3}"#,
        r#"{"rules":[{"id":"b","text":"1"}],"revision":1}"#,
    ] {
        let tasks = Tasks::default();
        let script = Script::default()
            .then(list(r#"{"rules":[{"id":"a","text":"1"}],"revision":3}"#))
            .then(list(again));
        let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
        assert_eq!(client.next().await, "reset 3 [\"a\"]");
        let before = client.epoch();
        assert!(client.next().await.ends_with("[\"b\"]"));
        assert_ne!(client.epoch(), before);
    }
}

#[tokio::test]
async fn a_list_is_asked_for_with_the_tag_of_the_last() {
    let tasks = Tasks::default();
    let lists = Arc::new(AtomicUsize::new(0));
    let script = Script::default()
        .then(|| {
            let headers = [("etag", "\"e-7\""), ("content-type", "application/json")];
            (headers, r#"{"rules":[{"id":"a","text":"1"}],"revision":7}"#).into_response()
        })
        .then({
            let lists = lists.clone();
            move || {
                lists.fetch_add(1, Ordering::Relaxed);
                StatusCode::NOT_MODIFIED.into_response()
            }
        });
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    assert_eq!(client.next().await, "reset 7 [\"a\"]");
    assert_eq!(client.epoch(), Some(Epoch::named("e")));
    let contact = client.feed.link.borrow().last_contact;
    until(|| lists.load(Ordering::Relaxed) > 3).await;
    assert!(client.feed.link.borrow().last_contact > contact);
    assert_eq!(client.feed.view.snapshot().revision, Revision(7));
    assert_eq!(script.asked()[1], "watch=true&epoch=e&revision=7#\"e-7\"");
}

#[tokio::test]
async fn what_is_no_list_is_refused_and_changes_nothing() {
    for (answer, problem) in [
        ("<html>", "not a list of rules"),
        ("{}", "not a list of rules"),
        (r#"{"rules":7}"#, "not a list of rules"),
    ] {
        let tasks = Tasks::default();
        let script = Script::default()
            .then(list(r#"{"rules":[{"id":"a","text":"1"}],"revision":3}"#))
            .then(list(answer));
        let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
        client.problem(problem).await;
        assert_eq!(client.feed.view.snapshot().items.len(), 1, "{answer}");
    }
}
