use std::collections::BTreeMap;

use a8_common::http::Health;
use a8_common::model::{Epoch, Instance, Revision};
use a8_common::source::{Link, Source};
use a8_common::task::{Stop, Tasks};
use a8_common::view::Publisher;
use async_trait::async_trait;
use prometheus::Registry;
use serde_json::{Value, json};

use super::*;
use crate::rulebook::kubernetes::Book;
use crate::rulebook::kubernetes::tests::{Cluster as Double, eventually, spec};

/// Tells of what the test says.
struct Told(watch::Receiver<Vec<Instance>>);

#[async_trait]
impl Source<Instance> for Told {
    async fn run(
        mut self: Box<Self>,
        out: Publisher<Instance>,
        _: watch::Sender<Link>,
        stop: Stop,
    ) {
        for revision in 1.. {
            let now = self
                .0
                .borrow_and_update()
                .iter()
                .cloned()
                .map(Arc::new)
                .collect();
            out.replace(&Epoch::named("e"), Revision(revision), now);
            if !matches!(stop.race(self.0.changed()).await, Some(Ok(()))) {
                return;
            }
        }
    }
}

/// A controller's reconciler, and the book that tells it of the objects.
struct Running {
    _book: Book,
    instances: watch::Sender<Vec<Instance>>,
    metrics: Registry,
    tasks: Tasks,
}

/// One that knows an instance of the service `s` with the tag `t`.
async fn running(double: &Double) -> Running {
    let (tasks, metrics) = (Tasks::new(Stop::new()), Registry::new());
    let site = Site {
        tasks: &tasks,
        health: &Health::new(),
        metrics: &metrics,
    };
    let cluster = double.open().await;
    let book = Book::start(&cluster, &site, true).unwrap();
    let instance = json!({
        "id": "s-1", "service_name": "s", "endpoint": {"type": "http", "value": "10.0.0.1:80"},
        "tags": ["t"],
    });
    let instance = serde_json::from_value(instance).unwrap();
    let (instances, told) = watch::channel(vec![instance]);
    let source = move || -> Box<Discovery> { Box::new(Told(told.clone())) };
    start_by(&cluster, book.contents(), source, &site).unwrap();
    Running {
        _book: book,
        instances,
        metrics,
        tasks,
    }
}

impl Running {
    /// How many statuses were written, by outcome.
    fn written(&self) -> BTreeMap<String, u64> {
        let families = self.metrics.gather();
        let family = families
            .iter()
            .find(|of| of.name() == "a8_controller_status_writes_total");
        let metrics = family.iter().flat_map(|family| family.get_metric());
        metrics
            .map(|one| {
                (
                    one.get_label()[0].value().to_owned(),
                    one.get_counter().get_value() as u64,
                )
            })
            .collect()
    }
}

fn state(double: &Double, name: &str) -> Value {
    let object = double.get(name).unwrap_or_default();
    let conditions = object["status"]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of = |kind: &str| {
        let condition = conditions
            .iter()
            .find(|condition| condition["type"] == kind);
        condition.map_or(Value::Null, |condition| condition["reason"].clone())
    };
    json!([
        object["status"]["state"],
        of("Accepted"),
        of("ResolvedRefs")
    ])
}

fn bad() -> Value {
    json!({"destination": "s", "match": {"headers": {"A": "("}}, "route": {"backends": [{"tags": ["t"]}]}})
}

fn events(double: &Double) -> Vec<[String; 3]> {
    let events = double.api.list("events.events.k8s.io", "shop");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut events: Vec<_> = events
        .iter()
        .map(|e| {
            [
                text(&e["regarding"]["name"]),
                text(&e["type"]),
                text(&e["reason"]),
            ]
        })
        .collect();
    events.sort();
    events
}

#[tokio::test]
async fn every_rule_is_told_how_it_stands_whoever_made_it() {
    let double = Double::start().await;
    double.put("good", &spec("s"));
    double.put("bad", &bad());
    double.put("nobody", &spec("nowhere"));
    let running = running(&double).await;
    let is = |name: &str, expected: [&str; 3]| state(&double, name) == json!(expected);
    eventually("the good one", || {
        is("good", ["valid", "Valid", "Resolved"])
    })
    .await;
    eventually("the bad one", || {
        is("bad", ["invalid", "InvalidSpec", "NotAccepted"])
    })
    .await;
    eventually("the one to nowhere", || {
        is("nobody", ["valid", "Valid", "NoInstances"])
    })
    .await;
    let status = double.get("bad").unwrap()["status"].clone();
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["kind"], "route");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("match.headers.A"),
        "{status}"
    );
    // Each was written once, and is then left alone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        running.written(),
        BTreeMap::from([("written".to_owned(), 3)])
    );
    // Instances go: so does the reference.
    running.instances.send_replace(Vec::new());
    eventually("the good one", || {
        is("good", ["valid", "Valid", "NoInstances"])
    })
    .await;
}

#[tokio::test]
async fn turning_invalid_and_valid_again_is_an_event_each_and_once() {
    let double = Double::start().await;
    double.put("r", &spec("s"));
    let first = running(&double).await;
    eventually("it to be valid", || state(&double, "r")[0] == "valid").await;
    double.put("r", &bad());
    eventually("it to be invalid", || state(&double, "r")[0] == "invalid").await;
    eventually("the event", || events(&double).len() == 1).await;
    first.tasks.finish(Duration::from_secs(5)).await;
    // Another one finds it as it is.
    let _second = running(&double).await;
    double.put("other", &spec("s"));
    eventually("the other", || state(&double, "other")[0] == "valid").await;
    assert_eq!(events(&double), [["r", "Warning", "InvalidSpec"]]);
    double.put("r", &spec("s"));
    eventually("it to be valid", || state(&double, "r")[0] == "valid").await;
    let expected = [["r", "Normal", "Valid"], ["r", "Warning", "InvalidSpec"]];
    eventually("the event", || events(&double) == expected).await;
}

#[tokio::test]
async fn what_others_say_of_a_rule_stays() {
    let double = Double::start().await;
    let mut object = double.put("r", &spec("s"));
    object["status"] = json!({"state": "invalid", "message": "stale", "conditions": [
        {"type": "Theirs", "status": "True", "reason": "Odd", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"},
        {"type": "Accepted", "status": "True", "reason": "Old", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"},
    ]});
    double.api.put(object);
    let _running = running(&double).await;
    eventually("it to be valid", || state(&double, "r")[0] == "valid").await;
    let status = double.get("r").unwrap()["status"].clone();
    assert_eq!(status["message"], "", "{status}");
    let conditions = status["conditions"].as_array().unwrap();
    let of = |kind: &str| conditions.iter().find(|one| one["type"] == kind).unwrap();
    assert_eq!(of("Theirs")["reason"], "Odd");
    // It was true before: since when has not changed.
    assert_eq!(of("Accepted")["lastTransitionTime"], "2020-01-01T00:00:00Z");
    assert_eq!(of("Accepted")["reason"], "Valid");
}

#[tokio::test]
async fn one_that_cannot_be_told_holds_up_no_other() {
    let double = Double::start().await;
    for name in ["a", "b", "c"] {
        double.put(name, &spec("s"));
    }
    double.api.fail(1000, 500, |asked| {
        asked.verb == "patch" && asked.name == "a"
    });
    let running = running(&double).await;
    for name in ["b", "c"] {
        eventually(name, || state(&double, name)[0] == "valid").await;
    }
    eventually("some attempts", || {
        running.written().get("failed").is_some_and(|n| *n > 1)
    })
    .await;
    assert_eq!(state(&double, "a")[0], Value::Null);
    double.api.clear_faults();
    eventually("the last one", || state(&double, "a")[0] == "valid").await;
}

#[tokio::test]
async fn of_two_controllers_one_writes_and_the_other_goes_on() {
    let double = Double::start().await;
    double.put("a", &spec("s"));
    let (first, second) = (running(&double).await, running(&double).await);
    eventually("it to be told", || state(&double, "a")[0] == "valid").await;
    let wrote = |running: &Running| running.written().get("written").copied().unwrap_or(0);
    eventually("it to be counted", || wrote(&first) + wrote(&second) == 1).await;
    let (leader, other) = match wrote(&first) {
        1 => (first, second),
        _ => (second, first),
    };
    leader.tasks.finish(Duration::from_secs(5)).await;
    double.put("b", &bad());
    eventually("the other to go on", || state(&double, "b")[0] == "invalid").await;
    eventually("it to be counted", || wrote(&other) == 1).await;
}
