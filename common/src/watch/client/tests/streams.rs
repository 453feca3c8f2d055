use super::kit::*;
use crate::model::{Epoch, Revision, RuleId};
use crate::task::Tasks;
use crate::view;
use crate::watch::server::{Filter, Outlet};

#[tokio::test]
async fn a_view_follows_a_server_through_its_death_and_goes_on_where_it_was() {
    let (publisher, view) = view::channel();
    publisher.replace(&Epoch::named("e"), Revision(1), vec![note("a", "1")]);
    let outlet = Outlet::new(view, Filter::default());
    let mut server = Ours::start(outlet.clone()).await;
    let mut client = watching::<Note>(&format!("http://{}", server.address), PATIENT);
    assert_eq!(client.next().await, "reset 1 [\"a\"]");
    publisher.apply(Revision(2), vec![note("b", "1")], &[]);
    assert_eq!(client.next().await, "change 2 +[\"b\"] -[]");
    client.well().await;

    server.kill().await;
    client.problem("").await;
    assert!(!client.feed.link.borrow().connected);
    assert_eq!(client.feed.view.snapshot().items.len(), 2);
    publisher.apply(
        Revision(3),
        vec![note("c", "1")],
        &[RuleId::new("a").unwrap()],
    );
    server.restart(outlet).await;
    // A change and no reset: it was resumed.
    assert_eq!(client.next().await, "change 3 +[\"c\"] -[\"a\"]");
    client.well().await;
}

#[tokio::test]
async fn a_server_of_a_new_life_is_told_by_its_epoch() {
    let (publisher, view) = view::channel();
    publisher.replace(&Epoch::named("e"), Revision(7), vec![note("a", "1")]);
    let mut server = Ours::start(Outlet::new(view, Filter::default())).await;
    let mut client = watching::<Note>(&format!("http://{}", server.address), PATIENT);
    assert_eq!(client.next().await, "reset 7 [\"a\"]");
    server.kill().await;
    let (publisher, view) = view::channel();
    publisher.replace(&Epoch::named("f"), Revision(1), vec![]);
    server.restart(Outlet::new(view, Filter::default())).await;
    assert_eq!(client.next().await, "reset 1 []");
    assert_eq!(client.epoch(), Some(Epoch::named("f")));
}

#[tokio::test]
async fn the_next_server_takes_over_when_one_dies() {
    let (publisher, view) = view::channel();
    publisher.replace(&Epoch::named("e"), Revision(1), vec![note("a", "1")]);
    let outlet = Outlet::new(view, Filter::default());
    let mut first = Ours::start(outlet.clone()).await;
    let second = Ours::start(outlet).await;
    let urls = format!("http://{},http://{}", first.address, second.address);
    let mut client = watching::<Note>(&urls, PATIENT);
    assert_eq!(client.next().await, "reset 1 [\"a\"]");
    first.kill().await;
    publisher.apply(Revision(2), vec![note("b", "1")], &[]);
    assert_eq!(client.next().await, "change 2 +[\"b\"] -[]");
    client.well().await;
}

#[tokio::test]
async fn a_line_that_was_cut_is_asked_for_again() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(lines(
            "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[]}\n{\"type\":\"UPS",
            Then::Break,
        ))
        .then(lines(
            "{\"type\":\"UPSERT\",\"revision\":2,\"items\":[{\"id\":\"a\",\"text\":\"1\"}]}\n",
            Then::Silence,
        ));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    assert_eq!(client.next().await, "reset 1 []");
    assert_eq!(client.next().await, "change 2 +[\"a\"] -[]");
    assert_eq!(
        script.asked(),
        ["watch=true", "watch=true&epoch=e&revision=1"]
    );
}

#[tokio::test]
async fn one_line_may_set_and_remove_and_is_one_change() {
    let tasks = Tasks::default();
    let script = Script::default().then(lines(
        "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[{\"id\":\"a\",\"text\":\"1\"}]}\n\
         {\"type\":\"UPSERT\",\"revision\":2,\"items\":[{\"id\":\"b\",\"text\":\"1\"}],\"ids\":[\"a\"]}\n\
         {\"type\":\"BOOKMARK\",\"revision\":5}\n",
        Then::Silence,
    ));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    let mut told = client.next().await;
    // The client may have read both lines before we looked.
    if told.starts_with("reset 1") {
        told = client.next().await;
        assert_eq!(told, "change 2 +[\"b\"] -[\"a\"]");
    }
    until(|| client.feed.view.snapshot().revision == Revision(5)).await;
    assert_eq!(client.feed.view.snapshot().items.len(), 1);
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(lines(
            "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[]}\n",
            Then::Silence,
        ))
        .then(lines(
            "{\"type\":\"BOOKMARK\",\"revision\":1}\n",
            Then::Silence,
        ));
    let silence = std::time::Duration::from_millis(100);
    let mut client = watching::<Note>(&script.serve(&tasks).await, silence);
    client.problem("nothing heard for 100ms").await;
    until(|| script.asked().len() >= 2).await;
    assert_eq!(script.asked()[1], "watch=true&epoch=e&revision=1");
    client.well().await;
}

#[tokio::test]
async fn a_stream_that_never_tells_anything_is_made_up_for_by_lists() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(lines("", Then::Silence))
        .then(list(r#"{"rules":[{"id":"a","text":"1"}],"revision":4}"#));
    let silence = std::time::Duration::from_millis(100);
    let mut client = watching::<Note>(&script.serve(&tasks).await, silence);
    assert_eq!(client.next().await, "reset 4 [\"a\"]");
    assert_eq!(script.asked()[..2], ["watch=true", ""]);
    // And a watch is tried again.
    until(|| script.asked()[2..].contains(&"watch=true".to_owned())).await;
}

#[tokio::test]
async fn a_client_ends_when_told_to() {
    let tasks = Tasks::default();
    let script = Script::default().then(lines("", Then::Silence));
    let client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    until(|| !script.asked().is_empty()).await;
    let begin = std::time::Instant::now();
    client.tasks.finish(PATIENT).await;
    assert!(begin.elapsed() < PATIENT);
    assert!(
        client.feed.link.has_changed().is_err(),
        "the source is gone"
    );
}
