use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::response::IntoResponse;
use http::StatusCode;

use super::kit::*;
use crate::model::Revision;
use crate::task::Tasks;

const WHOLE: &str = "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[{\"id\":\"a\",\"text\":\"1\"}]}\n";

/// After `nonsense` the state stays, and the next stream has to begin with the whole.
async fn starts_over_after(nonsense: String, problem: &str) {
    let tasks = Tasks::default();
    let first: &'static str = Box::leak(format!("{WHOLE}{nonsense}").into_boxed_str());
    let script = Script::default()
        .then(lines(first, Then::Silence))
        .then(refusal(503, ""))
        .then(lines(WHOLE, Then::Silence));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    client.problem(problem).await;
    assert_eq!(client.feed.view.snapshot().items.len(), 1);
    client.well().await;
    assert_eq!(script.asked(), ["watch=true"; 3]);
}

#[tokio::test]
async fn nonsense_makes_it_start_over_and_keep_what_it_has() {
    starts_over_after("<html>\n".into(), "not a line of a watch").await;
    starts_over_after(
        "{\"type\":\"FUSE\",\"revision\":2}\n".into(),
        "unknown type \"FUSE\"",
    )
    .await;
    let long = format!("{{\"type\":\"{}\"}}\n", "x".repeat(5_000));
    starts_over_after(long, "more than 4096 bytes").await;
}

#[tokio::test]
async fn a_stream_that_goes_on_from_nowhere_is_refused() {
    let tasks = Tasks::default();
    let script = Script::default().then(lines(
        "{\"type\":\"REMOVE\",\"revision\":2,\"ids\":[]}\n",
        Then::Silence,
    ));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    client.problem("does not begin with the whole state").await;
    assert!(!client.feed.view.snapshot().is_loaded());
}

#[tokio::test]
async fn an_item_that_is_not_understood_is_named_and_the_rest_works() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(lines(
            "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[{\"id\":\"a\",\"text\":\"1\"},{\"id\":\"b\",\"text\":\"1\"}]}\n\
             {\"type\":\"UPSERT\",\"revision\":2,\"items\":[{\"id\":\"a\",\"text\":7},{\"id\":\"c\",\"text\":\"2\"}]}\n",
            Then::Break,
        ))
        .then(lines(
            "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":3,\"items\":[{\"id\":\"a\",\"text\":7}]}\n",
            Then::Break,
        ))
        .then(lines(
            "{\"type\":\"UPSERT\",\"revision\":4,\"items\":[{\"id\":\"a\",\"text\":\"3\"}]}\n",
            Then::Silence,
        ));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    client
        .problem("left out 1 of the rules; the first, \"a\": invalid type")
        .await;
    let view = client.feed.view.clone();
    let text = move || {
        let now = view.snapshot();
        let a = now.items.values().find(|n| n.id.as_str() == "a").cloned();
        (now.revision, a.map(|a| a.text.clone()), now.items.len())
    };
    // As it was last understood, for as long as the server lists it.
    until(|| text().0 >= Revision(3)).await;
    if text().0 == Revision(3) {
        assert_eq!(text(), (Revision(3), Some("1".into()), 1));
    }
    until(|| text().0 == Revision(4)).await;
    assert_eq!(text(), (Revision(4), Some("3".into()), 1));
    client.well().await;
}

#[tokio::test]
async fn a_place_that_the_server_no_longer_has_is_forgotten() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(lines(WHOLE, Then::End))
        .then(refusal(410, ""))
        .then(lines(WHOLE, Then::Silence));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    until(|| script.asked().len() == 3).await;
    client.well().await;
    assert_eq!(
        script.asked(),
        ["watch=true", "watch=true&epoch=e&revision=1", "watch=true"]
    );
}

#[tokio::test]
async fn a_server_that_names_a_pause_is_given_it() {
    let tasks = Tasks::default();
    let script = Script::default()
        .then(|| {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                [("retry-after", "1")],
                "{\"error\":\"away\"}",
            )
                .into_response()
        })
        .then(lines(WHOLE, Then::Silence));
    let begin = Instant::now();
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    client.problem("503 Service Unavailable: away").await;
    assert_eq!(client.next().await, "reset 1 [\"a\"]");
    assert!(begin.elapsed() >= Duration::from_secs(1));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refusal_that_goes_on_is_told_once_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let _guard = tracing::subscriber::set_default(
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish(),
    );
    let tasks = Tasks::default();
    let script = Script::default().then(refusal(401, "{\"Error\":\"no such token\"}"));
    let mut client = watching::<Note>(&script.serve(&tasks).await, PATIENT);
    client.problem("401 Unauthorized: no such token").await;
    until(|| script.asked().len() > 5).await;
    assert!(!client.feed.link.borrow().connected);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("no such token").count(), 1, "{text}");
}
