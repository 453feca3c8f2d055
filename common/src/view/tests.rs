use std::sync::Arc;

use super::*;

#[derive(Debug, PartialEq)]
struct Thing(u32, &'static str);

/// What each takes.
const BYTES: usize = 1000;

impl Item for Thing {
    type Id = u32;
    fn id(&self) -> &u32 {
        &self.0
    }
    fn bytes(&self) -> usize {
        BYTES
    }
}

fn thing(id: u32, text: &'static str) -> Arc<Thing> {
    Arc::new(Thing(id, text))
}

fn ids(update: Option<Update<Thing>>) -> String {
    match update {
        Some(Update::Reset(s)) => format!(
            "reset {} {:?}",
            s.revision,
            s.items.keys().collect::<Vec<_>>()
        ),
        Some(Update::Change(c)) => format!(
            "change {} +{:?} -{:?}",
            c.revision,
            c.upserts.iter().map(|u| u.item.0).collect::<Vec<_>>(),
            c.removes.iter().map(|r| r.0).collect::<Vec<_>>()
        ),
        None => "nothing".into(),
    }
}

#[tokio::test]
async fn a_reader_sees_the_whole_then_every_change() {
    let (publisher, view) = channel();
    let mut reader = view.subscribe();
    assert_eq!(ids(reader.ready()), "nothing");
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(3), vec![thing(1, "a")]);
    assert_eq!(ids(reader.next().await), "reset 3 [1]");
    publisher.apply(Revision(5), vec![thing(2, "b")], &[1]);
    publisher.apply(Revision(6), vec![thing(2, "c")], &[]);
    assert_eq!(ids(reader.next().await), "change 5 +[2] -[1]");
    assert_eq!(ids(reader.next().await), "change 6 +[2] -[]");
    assert_eq!(ids(reader.ready()), "nothing");
    drop(publisher);
    assert_eq!(ids(reader.next().await), "nothing");
}

#[test]
fn a_reader_that_comes_back_goes_on_where_it_was() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(1), vec![]);
    publisher.apply(Revision(2), vec![thing(1, "a")], &[]);
    publisher.apply(Revision(3), vec![thing(2, "b")], &[]);
    assert_eq!(
        ids(view.resume(&epoch, Revision(2)).ready()),
        "change 3 +[2] -[]"
    );
    assert_eq!(ids(view.resume(&epoch, Revision(3)).ready()), "nothing");
    // Before the beginning, from the future, or of another life: the whole state.
    assert_eq!(
        ids(view.resume(&epoch, Revision(0)).ready()),
        "reset 3 [1, 2]"
    );
    assert_eq!(
        ids(view.resume(&epoch, Revision(9)).ready()),
        "reset 3 [1, 2]"
    );
    assert_eq!(
        ids(view.resume(&Epoch::fresh(), Revision(3)).ready()),
        "reset 3 [1, 2]"
    );
}

#[test]
fn a_reader_behind_the_history_is_reset() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(0), vec![]);
    for revision in 1..=10_000 {
        publisher.apply(Revision(revision), vec![thing(1, "a")], &[]);
    }
    assert_eq!(
        ids(view.resume(&epoch, Revision(5)).ready()),
        "reset 10000 [1]"
    );
    assert_eq!(
        ids(view.resume(&epoch, Revision(9_999)).ready()),
        "change 10000 +[1] -[]"
    );
}

#[test]
fn the_history_is_bounded_by_what_its_items_take() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(0), vec![]);
    let many: Vec<_> = (0..1000).map(|id| thing(id, "a")).collect();
    // One MB each, and far fewer than are kept of small ones.
    for revision in 1..=20 {
        publisher.apply(Revision(revision), many.clone(), &[]);
    }
    let first = |revision| ids(view.resume(&epoch, Revision(revision)).ready());
    assert!(first(1).starts_with("reset 20"));
    assert!(first(18).starts_with("change 19"));
}

#[test]
fn a_reload_of_the_same_epoch_is_a_difference_and_of_another_a_reset() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(1), vec![thing(1, "a"), thing(2, "b")]);
    let mut reader = view.subscribe();
    assert_eq!(ids(reader.ready()), "reset 1 [1, 2]");
    publisher.replace(&epoch, Revision(4), vec![thing(2, "b"), thing(3, "c")]);
    assert_eq!(ids(reader.ready()), "change 4 +[3] -[1]");
    publisher.replace(&epoch, Revision(4), vec![thing(2, "b"), thing(3, "c")]);
    assert_eq!(ids(reader.ready()), "nothing");
    // A revision names one content: what was told first stays.
    publisher.replace(&epoch, Revision(4), vec![thing(9, "x")]);
    assert_eq!(ids(reader.ready()), "nothing");
    assert_eq!(view.snapshot().items.len(), 2);
    publisher.replace(&Epoch::fresh(), Revision(1), vec![thing(3, "c")]);
    assert_eq!(ids(reader.ready()), "reset 1 [3]");
}

#[test]
fn a_change_that_is_already_in_is_ignored() {
    let (publisher, view) = channel();
    publisher.replace(&Epoch::fresh(), Revision(5), vec![thing(1, "a")]);
    publisher.apply(Revision(5), vec![], &[1]);
    assert_eq!(view.snapshot().items.len(), 1);
}

#[test]
fn a_reader_may_be_ahead_of_a_view_that_is_behind() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(3), vec![thing(1, "a")]);
    let mut elsewhere = view.resume_ahead(&epoch, Revision(5));
    assert_eq!(ids(elsewhere.ready()), "nothing");
    assert_eq!(elsewhere.revision(), Some(Revision(5)));
    for revision in [4, 5] {
        publisher.apply(Revision(revision), vec![thing(revision as u32, "b")], &[]);
        assert_eq!(ids(elsewhere.ready()), "nothing");
    }
    publisher.apply(Revision(7), vec![thing(7, "c")], &[4]);
    assert_eq!(ids(elsewhere.ready()), "change 7 +[7] -[4]");

    // Data that begins anew will never come to where the reader was.
    let mut lost = view.resume_ahead(&epoch, Revision(9));
    publisher.replace(&epoch, Revision(2), vec![thing(1, "a")]);
    publisher.apply(Revision(10), vec![thing(2, "b")], &[]);
    assert_eq!(ids(lost.ready()), "reset 10 [1, 2]");
    // Without a word about it, what is ahead is from another life.
    let mut unknown = view.resume(&epoch, Revision(11));
    assert_eq!(ids(unknown.ready()), "reset 10 [1, 2]");
}

/// Two servers follow one source. One of them lists anew, and does not know what happened
/// meanwhile; the other one's readers know part of it.
#[test]
fn a_reader_of_a_state_that_was_leapt_over_begins_anew() {
    let (publisher, view) = channel();
    let epoch = Epoch::fresh();
    publisher.replace(&epoch, Revision(3), vec![thing(1, "a")]);
    publisher.apply(Revision(4), vec![thing(2, "b")], &[]);
    let mut ahead = view.resume_ahead(&epoch, Revision(6));
    assert_eq!(ids(ahead.ready()), "nothing");
    // Another reader was told at 6 that 1 is gone; it is back at 8.
    publisher.replace(&epoch, Revision(8), vec![thing(1, "a"), thing(2, "b")]);
    assert_eq!(ids(ahead.ready()), "reset 8 [1, 2]");
    let resumed = |at| ids(view.resume(&epoch, Revision(at)).ready());
    assert_eq!(resumed(6), "reset 8 [1, 2]");
    assert_eq!(resumed(4), "change 8 +[] -[]");
    assert_eq!(resumed(3), "change 4 +[2] -[]");
    assert_eq!(resumed(8), "nothing");
    publisher.apply(Revision(9), vec![], &[1]);
    assert_eq!(resumed(6), "reset 9 [2]");
    assert_eq!(resumed(8), "change 9 +[] -[1]");
}
