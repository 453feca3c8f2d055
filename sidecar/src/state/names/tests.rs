use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testkit::{DEADLINE, instance};

/// A resolver in the test's hands, and how often it was asked.
#[derive(Clone)]
struct Script {
    says: Arc<Mutex<Result<Vec<&'static str>, &'static str>>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn new(first: &[&'static str]) -> Self {
        Self {
            says: Arc::new(Mutex::new(Ok(first.to_vec()))),
            asked: Arc::default(),
        }
    }

    fn say(&self, what: Result<&[&'static str], &'static str>) {
        *self.says.lock().unwrap() = what.map(<[_]>::to_vec);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn lookup(&self) -> Lookup {
        let script = self.clone();
        Arc::new(move |_| {
            script.asked.fetch_add(1, Ordering::SeqCst);
            let says = script.says.lock().unwrap().clone();
            Box::pin(async move {
                let list = says.map_err(io::Error::other)?;
                Ok(list.iter().map(|a| a.parse().unwrap()).collect())
            })
        })
    }
}

fn upstream(value: &str) -> Arc<Upstream> {
    Arc::new(Upstream::new(&instance("s", "v1", value), Arc::default()).unwrap())
}

fn addresses(upstream: &Upstream) -> Vec<String> {
    let known = upstream.addresses.known();
    known.list.iter().map(ToString::to_string).collect()
}

/// Waits until `upstream` shows these addresses.
async fn reach(upstream: &Upstream, want: &[&str]) {
    let reached = async {
        while addresses(upstream) != want {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, reached).await;
    assert!(waited.is_ok(), "{:?}", upstream.addresses.known());
}

#[tokio::test(start_paused = true)]
async fn changing_answers_reach_every_instance_of_the_name() {
    let script = Script::new(&["10.0.0.2:0", "10.0.0.1:0", "10.0.0.2:0"]);
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(script.lookup(), &tasks);
    let (one, other) = (upstream("shop:80"), upstream("shop:81"));
    names.keep(&one);
    names.keep(&other);
    reach(&one, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    reach(&other, &["10.0.0.1:81", "10.0.0.2:81"]).await;
    assert_eq!(script.asked(), 1, "one name, one look-up");
    // One that comes later has the answer at once.
    let late = upstream("shop:82");
    names.keep(&late);
    assert_eq!(addresses(&late), ["10.0.0.1:82", "10.0.0.2:82"]);
    script.say(Ok(&["10.0.0.3:0"]));
    for (upstream, want) in [(&one, "10.0.0.3:80"), (&late, "10.0.0.3:82")] {
        reach(upstream, &[want]).await;
    }
    tasks.finish(DEADLINE).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_good_addresses_are_kept_while_look_ups_fail() {
    let script = Script::new(&["10.0.0.1:0"]);
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(script.lookup(), &tasks);
    let shop = upstream("shop:80");
    names.keep(&shop);
    reach(&shop, &["10.0.0.1:80"]).await;
    for (failing, told) in [
        (Err("the server is away"), "the server is away"),
        (Ok(&[][..]), "it has no address"),
    ] {
        script.say(failing);
        let before = script.asked();
        while shop.addresses.known().error.as_deref() != Some(told) {
            assert!(script.asked() < before + 10, "the error is told");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(addresses(&shop), ["10.0.0.1:80"]);
    }
    script.say(Ok(&["10.0.0.2:0"]));
    reach(&shop, &["10.0.0.2:80"]).await;
    assert_eq!(shop.addresses.known().error, None);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_regularly_and_slower_and_slower_while_it_fails() {
    let script = Script::new(&["10.0.0.1:0"]);
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(script.lookup(), &tasks);
    let shop = upstream("shop:80");
    names.keep(&shop);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let good = script.asked();
    assert!((80..=130).contains(&good), "every 8 to 12 s: {good}");
    script.say(Err("away"));
    // 10 s until it is noticed, then pauses of 1, 2, 4, 8, 10, 10, …
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let failing = script.asked() - good;
    assert!((80..=135).contains(&failing), "{failing}");
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|n| pause(n).as_secs()),
        [10, 1, 2, 4, 8, 10, 10, 10]
    );
}

#[tokio::test(start_paused = true)]
async fn doubt_brings_the_next_look_up_forward_but_no_storm() {
    let script = Script::new(&["10.0.0.1:0"]);
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(script.lookup(), &tasks);
    let shop = upstream("shop:80");
    names.keep(&shop);
    reach(&shop, &["10.0.0.1:80"]).await;
    assert_eq!(script.asked(), 1);
    for _ in 0..100 {
        shop.addresses.doubt();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // 5 s of doubts.
    let asked = script.asked();
    assert!((4..=7).contains(&asked), "once a second: {asked}");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_instance_has_is_forgotten() {
    let script = Script::new(&["10.0.0.1:0"]);
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(script.lookup(), &tasks);
    let (retired, dropped) = (upstream("shop:80"), upstream("shop:81"));
    names.keep(&retired);
    names.keep(&dropped);
    reach(&retired, &["10.0.0.1:80"]).await;
    // An address is no name.
    names.keep(&upstream("10.0.0.9:80"));
    // One may be in use for long after it was taken away.
    retired.retire();
    drop(dropped);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(script.asked(), 1);
    assert!(names.hosts().is_empty());
    // And it may come again.
    let again = upstream("shop:80");
    names.keep(&again);
    reach(&again, &["10.0.0.1:80"]).await;
}

#[tokio::test(start_paused = true)]
async fn silent_name_servers_hold_up_a_bounded_number_of_look_ups() {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = open.clone();
    let lookup: Lookup = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    });
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(lookup, &tasks);
    let upstreams: Vec<_> = (0..100).map(|i| upstream(&format!("h{i}:80"))).collect();
    upstreams.iter().for_each(|u| names.keep(u));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(open.load(Ordering::SeqCst), AT_ONCE);
    tasks.finish(DEADLINE).await;
}

#[tokio::test]
async fn the_system_knows_localhost() {
    let tasks = Tasks::new(Stop::new());
    let names = Names::start(system(), &tasks);
    let upstream = upstream("localhost:9080");
    names.keep(&upstream);
    let first = tokio::time::timeout(DEADLINE, upstream.addresses.first());
    let known = first.await.unwrap();
    assert_eq!(known.error, None);
    assert!(!known.list.is_empty());
    for address in &known.list {
        assert!(
            address.ip().is_loopback() && address.port() == 9080,
            "{address}"
        );
    }
    tasks.finish(DEADLINE).await;
}
