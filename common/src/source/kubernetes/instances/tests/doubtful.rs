//! After an outage of the API server.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::outage::Outage;
use super::{World, at, http, slice, with};

#[test]
fn where_it_is_doubtful_who_was_an_instance_stays_one_until_somebody_is_ready() {
    let mut world = World::default();
    for name in ["a", "b", "c"] {
        world.pod(name, json!({}));
    }
    let unready = |endpoint| with(endpoint, false, false, false);
    let of = |a: Value, b: Value| {
        let c = unready(at("10.0.0.3", "c"));
        slice("s-1", "r", http(), json!([a, b, c]))
    };
    let (a, b) = (at("10.0.0.1", "a"), at("10.0.0.2", "b"));
    let all = [
        "r uid-a-9080 http 10.0.0.1:9080 []",
        "r uid-b-9080 http 10.0.0.2:9080 []",
    ];
    world.slice(of(a.clone(), b.clone()));
    assert_eq!(world.shown(), all);
    // Nobody is ready, and c never was.
    world.join.doubt(true);
    world.slice(of(unready(a.clone()), unready(b.clone())));
    assert_eq!(world.shown(), all);
    // Who is about to end and does not serve is not taken.
    world.slice(of(unready(a.clone()), with(b.clone(), false, false, true)));
    assert_eq!(world.shown(), all[..1]);
    // Somebody is ready.
    world.slice(of(unready(a.clone()), b.clone()));
    assert_eq!(world.shown(), all[1..]);
    // What is no longer doubted is believed.
    world.slice(of(unready(a), unready(b)));
    assert_eq!(world.shown(), all[1..]);
    world.join.doubt(false);
    assert!(world.shown().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_is_doubtful_for_a_while_after_a_long_outage() {
    let mut outage = Outage::default();
    let wait = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
    assert!(!outage.note(true));
    outage.note(false);
    wait(10).await;
    outage.note(false);
    assert!(!outage.note(true), "it was short");
    outage.note(false);
    wait(60).await;
    assert!(!outage.note(false), "it goes on");
    assert!(outage.note(true));
    wait(100).await;
    assert!(outage.note(true));
    outage.over().await;
    assert!(!outage.note(true));
}
