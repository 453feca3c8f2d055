use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::model::{Instance, InstanceId, Status};
use crate::task::Stop;
use crate::view::{self, Publisher};

fn instance(id: &str, status: Status) -> Arc<Instance> {
    let text = format!(
        r#"{{"id":"{id}","service_name":"s","endpoint":{{"type":"http","value":"h:1"}},"metadata":{{"b" :1}}}}"#
    );
    let instance: Instance = serde_json::from_str(&text).unwrap();
    Arc::new(Instance { status, ..instance })
}

fn up(id: &str) -> Arc<Instance> {
    instance(id, Status::Up)
}

fn id(id: &str) -> InstanceId {
    InstanceId::new(id).unwrap()
}

/// A view at revision 1 of epoch `e` that holds `a`.
fn loaded() -> (Publisher<Instance>, View<Instance>) {
    let (publisher, view) = view::channel();
    publisher.replace(&Epoch::named("e"), Revision(1), vec![up("a")]);
    (publisher, view)
}

fn place(revision: u64) -> Option<Place> {
    let revision = Revision(revision);
    Some(Place {
        epoch: Epoch::named("e"),
        revision,
        sure: false,
    })
}

fn ids_only(filter: Filter<Instance>) -> Filter<Instance> {
    filter.with_members(["id".to_owned()])
}

async fn raw(reply: &mut Response) -> Option<Bytes> {
    let frame = reply.body_mut().frame().await?.unwrap();
    Some(frame.into_data().unwrap())
}

async fn line(reply: &mut Response) -> String {
    match raw(reply).await {
        Some(line) => String::from_utf8(line.to_vec()).unwrap(),
        None => "the end".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_the_whole_then_each_transaction_in_one_line() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(view, ids_only(Filter::default()));
    let mut reply = outlet.watch(None, Stop::new()).unwrap();
    assert_eq!(reply.headers()[header::CONTENT_TYPE], NDJSON);
    assert_eq!(
        line(&mut reply).await,
        "{\"type\":\"RESET\",\"epoch\":\"e\",\"revision\":1,\"items\":[{\"id\":\"a\"}]}\n"
    );
    publisher.apply(Revision(3), vec![up("b"), up("c")], &[]);
    publisher.apply(Revision(4), vec![up("d")], &[id("a")]);
    publisher.apply(Revision(6), vec![], &[id("b"), id("c")]);
    for expected in [
        "{\"type\":\"UPSERT\",\"revision\":3,\"items\":[{\"id\":\"b\"},{\"id\":\"c\"}]}\n",
        "{\"type\":\"UPSERT\",\"revision\":4,\"items\":[{\"id\":\"d\"}],\"ids\":[\"a\"]}\n",
        "{\"type\":\"REMOVE\",\"revision\":6,\"ids\":[\"b\",\"c\"]}\n",
    ] {
        assert_eq!(line(&mut reply).await, expected);
    }
    publisher.replace(&Epoch::named("f"), Revision(1), vec![]);
    assert_eq!(
        line(&mut reply).await,
        "{\"type\":\"RESET\",\"epoch\":\"f\",\"revision\":1,\"items\":[]}\n"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_hides_is_not_told_but_moves_the_bookmark() {
    let (publisher, view) = loaded();
    let filter = Filter::of(|i: &Instance| i.status.listed_by_default());
    let outlet = Outlet::new(view, ids_only(filter));
    let mut reply = outlet.watch(None, Stop::new()).unwrap();
    assert!(line(&mut reply).await.contains("[{\"id\":\"a\"}]"));

    publisher.apply(Revision(2), vec![instance("b", Status::Starting)], &[]);
    assert_eq!(
        line(&mut reply).await,
        "{\"type\":\"BOOKMARK\",\"revision\":2}\n"
    );
    // Comes into sight, goes out of sight, one of each at once, goes unseen.
    publisher.apply(Revision(3), vec![up("b")], &[]);
    publisher.apply(Revision(4), vec![instance("b", Status::OutOfService)], &[]);
    publisher.apply(
        Revision(5),
        vec![up("b"), instance("a", Status::Starting)],
        &[],
    );
    publisher.apply(Revision(6), vec![], &[id("a")]);
    for expected in [
        "{\"type\":\"UPSERT\",\"revision\":3,\"items\":[{\"id\":\"b\"}]}\n",
        "{\"type\":\"REMOVE\",\"revision\":4,\"ids\":[\"b\"]}\n",
        "{\"type\":\"UPSERT\",\"revision\":5,\"items\":[{\"id\":\"b\"}],\"ids\":[\"a\"]}\n",
        "{\"type\":\"BOOKMARK\",\"revision\":6}\n",
    ] {
        assert_eq!(line(&mut reply).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn hidden_changes_do_not_put_off_the_bookmark() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(view, Filter::of(|i: &Instance| i.id.as_str() == "a"));
    let mut reply = outlet.watch(None, Stop::new()).unwrap();
    line(&mut reply).await;
    let begin = Instant::now();
    let busy = async {
        for revision in 2.. {
            publisher.apply(Revision(revision), vec![up("b")], &[]);
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::select! {
        () = busy => unreachable!("it has no end"),
        line = line(&mut reply) => assert!(line.contains("BOOKMARK"), "{line}"),
    }
    assert!(begin.elapsed() <= BOOKMARK_INTERVAL + Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_comes_back_goes_on_where_it_was() {
    let (publisher, view) = loaded();
    publisher.apply(Revision(2), vec![up("b")], &[]);
    let outlet = Outlet::new(view, ids_only(Filter::default()));
    let first = async |from: Option<Place>| {
        let mut reply = outlet.watch(from.as_ref(), Stop::new()).unwrap();
        line(&mut reply).await
    };
    assert!(first(place(1)).await.contains("UPSERT"));
    let begin = Instant::now();
    assert_eq!(
        first(place(2)).await,
        "{\"type\":\"BOOKMARK\",\"revision\":2}\n"
    );
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert!(first(place(0)).await.contains("RESET"));
    assert!(first(place(9)).await.contains("RESET"));
    let other = Place {
        epoch: Epoch::named("x"),
        revision: Revision(2),
        sure: false,
    };
    assert!(first(Some(other)).await.contains("RESET"));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_from_a_server_that_is_ahead_keeps_what_it_has() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(view, Filter::default());
    let away: Result<Revision, ()> = Err(());
    for (newest, kept) in [
        (Ok(Revision(9)), true),
        (away, true),
        (Ok(Revision(8)), false),
    ] {
        let mut place = place(9).unwrap();
        outlet.locate(&mut place, std::future::ready(newest)).await;
        let mut watcher = outlet
            .watcher(Some(&place), End::from(Stop::new()))
            .unwrap();
        let first = String::from_utf8(watcher.next().await.unwrap().to_vec()).unwrap();
        let wanted = match kept {
            true => r#"{"type":"BOOKMARK","revision":9}"#,
            false => r#"{"type":"RESET","#,
        };
        assert!(first.starts_with(wanted), "{first}");
    }
    drop(publisher);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_carries_bookmarks_and_ends_when_told_to() {
    let (_publisher, view) = loaded();
    let stop = Stop::new();
    let mut reply = Outlet::new(view, Filter::default())
        .watch(None, stop.clone())
        .unwrap();
    line(&mut reply).await;
    for _ in 0..3 {
        let begin = Instant::now();
        assert!(line(&mut reply).await.contains("BOOKMARK"));
        assert!(begin.elapsed() <= BOOKMARK_INTERVAL);
    }
    stop.fire();
    assert_eq!(line(&mut reply).await, "the end");
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_leave_of_who_watches() {
    let (_publisher, view) = loaded();
    let outlet = Outlet::new(view, Filter::default());
    let leave = std::time::SystemTime::now() + Duration::from_secs(25);
    let mut reply = outlet
        .watch(None, End::new(Stop::new(), Some(leave)))
        .unwrap();
    let begin = Instant::now();
    let mut told = 0;
    while line(&mut reply).await != "the end" {
        told += 1;
        assert!(told <= 5, "it goes on");
    }
    assert_eq!(begin.elapsed().as_secs_f64().round(), 25.0);
    let over = std::time::SystemTime::UNIX_EPOCH;
    let mut reply = outlet
        .watch(None, End::new(Stop::new(), Some(over)))
        .unwrap();
    assert_eq!(line(&mut reply).await, "the end");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_watchers_are_sent_the_very_same_bytes() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(
        view,
        Filter::of(|i: &Instance| i.status.listed_by_default()),
    );
    let mut watchers: Vec<Response> = (0..1_000)
        .map(|_| outlet.watch(None, Stop::new()).unwrap())
        .collect();
    let mut addresses = std::collections::BTreeSet::new();
    for reply in &mut watchers {
        addresses.insert(raw(reply).await.unwrap().as_ptr());
    }
    publisher.apply(Revision(2), vec![up("b")], &[]);
    for reply in &mut watchers {
        addresses.insert(raw(reply).await.unwrap().as_ptr());
    }
    assert_eq!(addresses.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_is_given_the_whole_state_again() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(view, ids_only(Filter::default()));
    let mut reply = outlet.watch(None, Stop::new()).unwrap();
    line(&mut reply).await;
    for revision in 2..10_000 {
        publisher.apply(Revision(revision), vec![up("b")], &[]);
    }
    let line = line(&mut reply).await;
    assert!(line.contains("RESET") && line.contains("9999"), "{line}");
}

#[tokio::test]
async fn a_list_is_json_with_a_tag_and_304_for_who_has_it() {
    let (publisher, view) = loaded();
    let outlet = Outlet::new(view, Filter::default());
    let mut headers = HeaderMap::new();
    let reply = outlet.list(&headers).unwrap();
    assert_eq!(reply.headers()[header::ETAG], "\"e-1\"");
    assert_eq!(reply.headers()[header::CONTENT_TYPE], "application/json");
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let one = serde_json::to_string(&*up("a")).unwrap();
    assert!(one.contains("{\"b\" :1}"), "metadata is kept byte for byte");
    assert_eq!(body, format!("{{\"instances\":[{one}]}}"));

    headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"e-1\""));
    let reply = outlet.list(&headers).unwrap();
    assert_eq!(reply.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(reply.headers()[header::ETAG], "\"e-1\"");
    publisher.apply(Revision(2), vec![], &[]);
    assert_eq!(outlet.list(&headers).unwrap().status(), StatusCode::OK);
}

#[test]
fn nothing_is_told_before_the_view_is_loaded() {
    let (_publisher, view) = view::channel::<Instance>();
    let outlet = Outlet::new(view, Filter::default());
    assert_eq!(outlet.watch(None, Stop::new()).err(), Some(NotLoaded));
    assert_eq!(outlet.list(&HeaderMap::new()).err(), Some(NotLoaded));
}

#[test]
fn a_place_needs_both_epoch_and_revision() {
    assert_eq!(Place::parse(Some("e"), Some("3")), Ok(place(3)));
    assert_eq!(Place::parse(None, Some("3")), Ok(None));
    assert_eq!(Place::parse(Some("e"), None), Ok(None));
    let error = Place::parse(None, Some("-1")).unwrap_err().to_string();
    assert!(error.contains("revision"), "{error}");
}
