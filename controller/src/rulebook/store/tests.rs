use a8_common::http::Health;
use a8_common::model::Epoch;
use a8_common::rule::parse_value;
use a8_common::store::Memory;
use a8_common::task::{Stop, Tasks};
use a8_common::view::Update;
use prometheus::Registry;
use serde_json::{Value, json};

use super::*;

struct Opened {
    book: Book,
    store: Arc<dyn Store>,
    health: Health,
    /// Ends the feeding when it goes.
    _tasks: Tasks,
}

fn opened(store: Arc<dyn Store>) -> Opened {
    let tasks = Tasks::new(Stop::new());
    let health = Health::new();
    let book = Book::start(Ground {
        store: store.clone(),
        tasks: &tasks,
        health: &health,
        metrics: &Registry::new(),
    })
    .unwrap();
    Opened {
        book,
        store,
        health,
        _tasks: tasks,
    }
}

async fn ready(opened: &Opened) {
    while !opened.health.is_ready() {
        tokio::task::yield_now().await;
    }
}

async fn fresh() -> Opened {
    let opened = opened(Arc::new(Memory::start(&Tasks::new(Stop::new()))));
    ready(&opened).await;
    opened
}

fn rules(list: &[(&str, &str)]) -> Vec<Rule> {
    let list: Vec<Value> = list
        .iter()
        .map(|(id, to)| json!({"id": id, "destination": to, "route": {"backends": [{"tags": ["t"]}]}}))
        .collect();
    parse_value(json!(list)).unwrap()
}

fn space(name: &str) -> Namespace {
    Namespace::new(name).unwrap()
}

fn ids(book: &Book, namespace: &Namespace) -> Vec<String> {
    let now = book.shelf(namespace).unwrap().snapshot();
    now.items.keys().map(ToString::to_string).collect()
}

async fn add(book: &Book, namespace: &Namespace, list: &[(&str, &str)]) -> Revision {
    book.add(
        &book.shelf(namespace).unwrap(),
        &rules(list),
        &IfMatch::Any,
        Mode::Commit,
    )
    .await
    .unwrap()
}

fn by_id(id: &str) -> Selection {
    Selection {
        ids: vec![id.to_owned()],
        ..Selection::default()
    }
}

#[tokio::test]
async fn a_write_is_one_revision_and_is_seen_by_whoever_wrote() {
    let Opened { book, .. } = &fresh().await;
    let red = space("red");
    let mut reader = book.shelf(&red).unwrap().view().subscribe();
    assert!(matches!(reader.next().await, Some(Update::Reset(_))));
    let revision = add(book, &red, &[("a", "s"), ("b", "s")]).await;
    assert_eq!(ids(book, &red), ["a", "b"]);
    assert_eq!(book.shelf(&red).unwrap().snapshot().revision, revision);
    let Some(Update::Change(change)) = reader.ready() else {
        unreachable!("one change")
    };
    assert_eq!((change.revision, change.upserts.len()), (revision, 2));
    assert!(reader.ready().is_none());
}

#[tokio::test]
async fn namespaces_do_not_touch_each_other() {
    let Opened { book, .. } = &fresh().await;
    let (red, blue) = (space("red"), space("blue"));
    let of_red = add(book, &red, &[("a", "s")]).await;
    add(book, &blue, &[("a", "t")]).await;
    book.remove(
        &book.shelf(&blue).unwrap(),
        &Selection::default(),
        &IfMatch::Any,
        Mode::Commit,
    )
    .await
    .unwrap();
    assert_eq!(ids(book, &red), ["a"]);
    assert_eq!(ids(book, &blue), Vec::<String>::new());
    // The other's writes do not move a namespace's revision.
    assert_eq!(book.shelf(&red).unwrap().snapshot().revision, of_red);
    let condition = IfMatch::Revision(of_red);
    book.update(
        &book.shelf(&red).unwrap(),
        &rules(&[("a", "u")]),
        &condition,
        Mode::Commit,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn updating_needs_every_id_and_changes_all_or_nothing() {
    let Opened { book, .. } = &fresh().await;
    let red = space("red");
    let before = add(book, &red, &[("a", "s")]).await;
    let change = rules(&[("a", "t"), ("gone", "t")]);
    for mode in [Mode::DryRun, Mode::Commit] {
        let refused = book
            .update(&book.shelf(&red).unwrap(), &change, &IfMatch::Any, mode)
            .await
            .unwrap_err();
        assert!(matches!(refused, WriteError::Unknown(ids) if ids == ["gone"]));
    }
    let now = book.shelf(&red).unwrap().snapshot();
    assert_eq!(now.revision, before);
    assert!(
        now.items
            .values()
            .all(|rule| rule.destination().as_str() == "s")
    );
}

#[tokio::test]
async fn a_write_that_builds_on_an_old_revision_is_refused() {
    let Opened { book, store, .. } = &fresh().await;
    let (red, epoch) = (space("red"), store.epoch().await.unwrap());
    let first = add(book, &red, &[("a", "s")]).await;
    let second = add(book, &red, &[("b", "s")]).await;
    let change = rules(&[("a", "t")]);
    for stale in [
        IfMatch::Revision(first),
        IfMatch::State(epoch.clone(), first),
        IfMatch::State(Epoch::fresh(), second),
    ] {
        for mode in [Mode::DryRun, Mode::Commit] {
            let added = book
                .add(&book.shelf(&red).unwrap(), &change, &stale, mode)
                .await;
            assert!(matches!(added, Err(WriteError::Moved)));
            let updated = book
                .update(&book.shelf(&red).unwrap(), &change, &stale, mode)
                .await;
            assert!(matches!(updated, Err(WriteError::Moved)));
            let removed = book
                .remove(&book.shelf(&red).unwrap(), &by_id("a"), &stale, mode)
                .await;
            assert!(matches!(removed, Err(WriteError::Moved)));
        }
    }
    let state = IfMatch::State(epoch, second);
    book.update(&book.shelf(&red).unwrap(), &change, &state, Mode::Commit)
        .await
        .unwrap();
    // A namespace that was never written is at revision 0.
    let blank = IfMatch::Revision(Revision(0));
    book.add(
        &book.shelf(&space("new")).unwrap(),
        &change,
        &blank,
        Mode::Commit,
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn deletion_takes_what_is_chosen_and_nothing_is_no_change() {
    let Opened { book, .. } = &fresh().await;
    let red = space("red");
    let before = add(book, &red, &[("a", "s"), ("b", "s"), ("c", "t")]).await;
    let none = Selection {
        tags: vec!["nobody".to_owned()],
        ..Selection::default()
    };
    let removed = book
        .remove(
            &book.shelf(&red).unwrap(),
            &none,
            &IfMatch::Any,
            Mode::Commit,
        )
        .await
        .unwrap();
    assert_eq!((removed.ids.len(), removed.revision), (0, before));
    let refused = book
        .remove(
            &book.shelf(&red).unwrap(),
            &by_id("gone"),
            &IfMatch::Any,
            Mode::Commit,
        )
        .await;
    assert!(matches!(refused, Err(WriteError::Unknown(_))));
    let to_s = Selection {
        destinations: vec!["s".to_owned()],
        ..Selection::default()
    };
    let dry = book
        .remove(
            &book.shelf(&red).unwrap(),
            &to_s,
            &IfMatch::Any,
            Mode::DryRun,
        )
        .await
        .unwrap();
    assert_eq!((dry.ids.len(), dry.revision), (2, before));
    let done = book
        .remove(
            &book.shelf(&red).unwrap(),
            &to_s,
            &IfMatch::Any,
            Mode::Commit,
        )
        .await
        .unwrap();
    assert!(done.revision > before);
    assert_eq!(ids(book, &red), ["c"]);
}

#[tokio::test]
async fn another_book_over_the_same_store_has_the_same_rules_and_revisions() {
    let first = fresh().await;
    let red = space("red");
    let revision = add(&first.book, &red, &[("a", "s")]).await;
    add(&first.book, &space("blue"), &[("a", "s")]).await;
    let second = opened(first.store.clone());
    ready(&second).await;
    let now = second.book.shelf(&red).unwrap().snapshot();
    assert_eq!((now.revision, now.items.len()), (revision, 1));
    // And each sees what the other writes.
    let revision = add(&second.book, &red, &[("b", "s")]).await;
    first.book.shelf(&red).unwrap().reached(revision).await;
    assert_eq!(ids(&first.book, &red), ["a", "b"]);
}

#[tokio::test]
async fn an_entry_that_is_no_rule_is_passed_over() {
    let first = fresh().await;
    let red = space("red");
    add(&first.book, &red, &[("a", "s")]).await;
    let bad = Transaction::new().put(key::rule(&red, &RuleId::new("bad").unwrap()), "{}");
    first.store.commit(bad).await.unwrap();
    let second = opened(first.store.clone());
    ready(&second).await;
    assert_eq!(ids(&second.book, &red), ["a"]);
    let everything = Selection::default();
    second
        .book
        .remove(
            &second.book.shelf(&red).unwrap(),
            &everything,
            &IfMatch::Any,
            Mode::Commit,
        )
        .await
        .unwrap();
    assert!(
        first
            .store
            .range(&key::rules(&red))
            .await
            .unwrap()
            .entries
            .is_empty()
    );
}

#[tokio::test]
async fn invented_namespaces_do_not_pile_up() {
    let Opened { book, .. } = &fresh().await;
    add(book, &space("written"), &[("a", "s")]).await;
    let used = book.shelf(&space("used")).unwrap();
    for n in 0..10_000 {
        book.shelf(&space(&format!("n{n}"))).unwrap();
    }
    assert!(book.shelves.len() <= shelves::MAX_BLANK + 2);
    assert_eq!(ids(book, &space("written")), ["a"]);
    assert!(Arc::ptr_eq(&used, &book.shelf(&space("used")).unwrap()));
}

#[tokio::test]
async fn a_watched_namespace_is_kept_until_the_first_rule_comes() {
    let Opened { book, .. } = &fresh().await;
    let red = space("red");
    let mut reader = book.shelf(&red).unwrap().view().subscribe();
    assert!(matches!(reader.next().await, Some(Update::Reset(_))));
    for n in 0..10_000 {
        book.shelf(&space(&format!("n{n}"))).unwrap();
    }
    add(book, &red, &[("a", "s")]).await;
    assert!(matches!(reader.ready(), Some(Update::Change(_))));
}
