use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::model::{Epoch, Revision};
use crate::rule::{self, Rule};
use crate::task::Tasks;
use crate::view;

/// A source that does what it is told.
struct Scripted {
    steps: tokio::sync::mpsc::Receiver<Step>,
}

enum Step {
    Tell(&'static str, u64, Vec<Arc<Rule>>),
    Trouble,
}

#[async_trait]
impl Source<Rule> for Scripted {
    async fn run(mut self: Box<Self>, out: Publisher<Rule>, link: watch::Sender<Link>, stop: Stop) {
        while let Some(Some(step)) = stop.race(self.steps.recv()).await {
            match step {
                Step::Tell(epoch, revision, rules) => {
                    out.replace(&Epoch::named(epoch), Revision(revision), rules);
                    link.send_modify(|link| link.problem = None);
                }
                Step::Trouble => link.send_modify(|link| link.problem = Some("away".into())),
            }
        }
        stop.wait().await;
    }
}

struct Rig {
    steps: tokio::sync::mpsc::Sender<Step>,
    view: View<Rule>,
    tasks: Tasks,
}

impl Rig {
    fn start(place: &Place) -> Self {
        let (steps, script) = tokio::sync::mpsc::channel(8);
        let (out, view) = view::channel();
        let tasks = Tasks::new(Stop::new());
        let source = kept(Box::new(Scripted { steps: script }), place.clone());
        let link = watch::Sender::new(Link::default());
        tasks.spawn("kept", source.run(out, link, tasks.stop().clone()));
        Self { steps, view, tasks }
    }

    async fn step(&self, step: Step) {
        self.steps.send(step).await.unwrap();
    }

    async fn loaded(&mut self) -> Vec<String> {
        let loaded = timeout(Duration::from_secs(60), self.view.loaded());
        assert_eq!(loaded.await, Ok(true));
        self.ids()
    }

    fn ids(&self) -> Vec<String> {
        self.view
            .snapshot()
            .items
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    async fn end(self) {
        self.tasks.finish(Duration::from_secs(60)).await;
    }
}

fn place(folder: &std::path::Path) -> Place {
    Place {
        folder: folder.join("state"),
        origin: "http://controller".to_owned(),
        pace: Pace {
            gather: Duration::from_millis(1),
            rest: Duration::from_millis(1),
            patience: Duration::from_secs(3600),
            grace: Duration::from_secs(3600),
        },
    }
}

fn rules(ids: &[&str]) -> Vec<Arc<Rule>> {
    let rule = |id: &&str| {
        let route = serde_json::json!({"backends": [{"tags": ["v1"]}]});
        serde_json::json!({"id": id, "destination": "reviews", "route": route})
    };
    let parsed = rule::parse_value(ids.iter().map(rule).collect()).unwrap();
    parsed.into_iter().map(Arc::new).collect()
}

/// What is kept.
fn ids_of(place: &Place) -> Vec<String> {
    let kept = file::read::<Rule>(&place.folder, &place.origin);
    let kept = kept.unwrap().unwrap();
    kept.items.keys().map(ToString::to_string).collect()
}

async fn keep_once(place: &Place, ids: &[&str]) {
    let mut rig = Rig::start(place);
    rig.step(Step::Tell("one", 7, rules(ids))).await;
    rig.loaded().await;
    rig.end().await;
}

#[tokio::test]
async fn what_was_kept_is_used_when_the_peer_is_away_and_replaced_by_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    keep_once(&place, &["a", "b"]).await;
    let mut rig = Rig::start(&place);
    rig.step(Step::Trouble).await;
    assert_eq!(rig.loaded().await, ["a", "b"]);
    assert_eq!(rig.view.snapshot().revision, Revision(7));
    // It is the same life of the data: readers are told of the difference.
    let mut updates = rig.view.subscribe();
    assert!(matches!(updates.next().await, Some(view::Update::Reset(_))));
    rig.step(Step::Tell("one", 8, rules(&["b", "c"]))).await;
    match updates.next().await {
        Some(view::Update::Change(change)) => {
            assert_eq!((change.upserts.len(), change.removes.len()), (1, 1));
        }
        _ => panic!("no change"),
    }
    assert_eq!(rig.ids(), ["b", "c"]);
    rig.end().await;
    let mut rig = Rig::start(&place);
    rig.step(Step::Trouble).await;
    assert_eq!(rig.loaded().await, ["b", "c"]);
    rig.end().await;
}

#[tokio::test]
async fn a_peer_that_answers_is_believed_before_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    keep_once(&place, &["a"]).await;
    let mut rig = Rig::start(&place);
    rig.step(Step::Tell("two", 1, rules(&["z"]))).await;
    assert_eq!(rig.loaded().await, ["z"]);
    // Too late for what is kept.
    rig.step(Step::Trouble).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.ids(), ["z"]);
    rig.end().await;
}

#[tokio::test]
async fn a_peer_that_has_forgotten_everything_does_not_take_away_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = place(folder.path());
    keep_once(&place, &["a"]).await;
    // Neither while it runs nor at its end; and not by one that has not used it.
    for told in [&[][..], &["b"]] {
        let mut rig = Rig::start(&place);
        rig.step(Step::Tell("two", 1, rules(told))).await;
        rig.loaded().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(ids_of(&place), ["a"]);
        rig.end().await;
        assert_eq!(ids_of(&place), ["a"]);
    }
    // After a while it does, without more news.
    place.pace.grace = Duration::from_millis(200);
    let mut rig = Rig::start(&place);
    rig.step(Step::Tell("two", 2, rules(&["b", "c"]))).await;
    rig.loaded().await;
    while ids_of(&place) != ["b", "c"] {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.end().await;
}

#[test]
fn another_epoch_that_comes_and_goes_has_no_claim() {
    let [one, two, three] = ["one", "two", "three"].map(Epoch::named);
    let grace = Duration::from_secs(3600);
    let mut lives = lives::Lives::new(None);
    assert_eq!(lives.put_off(&one, grace), None, "nothing is kept");
    let until = lives.put_off(&two, grace);
    assert!(until.is_some());
    assert_eq!(lives.put_off(&two, grace), until, "since it was first seen");
    assert_ne!(lives.put_off(&three, grace), until);
    assert_eq!(
        lives.put_off(&one, grace),
        None,
        "it is the one that is kept"
    );
    assert_eq!(lives.put_off(&two, Duration::ZERO), None);
    assert!(lives.put_off(&one, grace).is_some());
}

#[tokio::test]
async fn what_a_newer_program_has_kept_stays() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    keep_once(&place, &["a"]).await;
    let path = place.folder.join("rules.state");
    let old = std::fs::read_to_string(&path).unwrap();
    let new = old.replace("\"version\":1", "\"version\":2");
    assert_ne!(new, old);
    std::fs::write(&path, &new).unwrap();
    keep_once(&place, &["b"]).await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), new);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    keep_once(&place, &["a"]).await;
    let mut rig = Rig::start(&place);
    let loaded = timeout(Duration::from_secs(7200), rig.view.loaded());
    assert_eq!(loaded.await, Ok(true));
    rig.end().await;
}

#[test]
fn a_file_is_the_owners_alone_and_used_only_when_it_is_whole_and_ours() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let (folder, origin) = (&place.folder, &place.origin);
    let epoch: Epoch = Epoch::named("one");
    let items = rules(&["a", "b"]).into_iter();
    let snapshot = Snapshot {
        epoch: Some(epoch),
        revision: Revision(9),
        items: items.map(|rule| (rule.id().clone(), rule)).collect(),
    };
    assert!(file::read::<Rule>(folder, origin).unwrap().is_none());
    file::write(folder, origin, &snapshot).unwrap();
    let path = folder.join("rules.state");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!((mode(&path) & 0o777, mode(folder) & 0o777), (0o600, 0o700));
    let read = file::read::<Rule>(folder, origin).unwrap().unwrap();
    assert_eq!(read.items, snapshot.items);
    assert_eq!(
        (read.epoch, read.revision),
        (snapshot.epoch, snapshot.revision)
    );

    let why = |error: ReadError| error.to_string();
    let other = file::read::<Rule>(folder, "http://elsewhere")
        .err()
        .map(why);
    assert!(other.unwrap().ends_with("it is of http://controller"));
    let good = std::fs::read(&path).unwrap();
    // Cut off anywhere, or with any byte changed, it is no state.
    for at in 0..good.len() {
        std::fs::write(&path, &good[..at]).unwrap();
        assert!(file::read::<Rule>(folder, origin).is_err(), "cut at {at}");
        let mut changed = good.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(
            file::read::<Rule>(folder, origin).is_err(),
            "changed at {at}"
        );
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_changes_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = place(folder.path());
    std::fs::write(&place.folder, "in the way").unwrap();
    place.pace.rest = Duration::ZERO;
    let mut rig = Rig::start(&place);
    rig.step(Step::Tell("one", 1, rules(&["a"]))).await;
    assert_eq!(rig.loaded().await, ["a"]);
    std::fs::remove_file(&place.folder).unwrap();
    rig.step(Step::Tell("one", 2, rules(&["a", "b"]))).await;
    rig.view.reached(Revision(2)).await;
    rig.end().await;
    let read = file::read::<Rule>(&place.folder, &place.origin).unwrap();
    assert_eq!(read.unwrap().items.len(), 2);
}
