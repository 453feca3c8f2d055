use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use a8_common::task::Tasks;
use serde_json::{Value, json};

use super::*;
use crate::rulebook::kubernetes::tests::{Cluster as Double, eventually};

const QUICK: Times = Times {
    duration: Duration::from_secs(1),
    deadline: Duration::from_millis(600),
    period: Duration::from_millis(60),
};
/// For tests in which nobody may lead because of the time.
const SLOW: Times = Times {
    duration: Duration::from_secs(30),
    deadline: Duration::from_secs(3),
    ..QUICK
};
const LEASES: &str = "leases.coordination.k8s.io";

/// A candidate at work.
struct Running {
    name: String,
    leads: Arc<AtomicBool>,
    /// How many pieces of its work go on.
    works: Arc<AtomicUsize>,
    tasks: Tasks,
}

/// Counts one while it lives.
struct One(Arc<AtomicUsize>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn running(double: &Double, times: Times) -> Running {
    let candidate = Candidate::with(&double.open().await, times);
    let running = Running {
        name: candidate.name().to_owned(),
        leads: Arc::default(),
        works: Arc::default(),
        tasks: Tasks::new(Stop::new()),
    };
    let (leads, works) = (running.leads.clone(), running.works.clone());
    let stop = running.tasks.stop().clone();
    running.tasks.spawn("candidate", async move {
        let tell = |now| leads.store(now, Ordering::SeqCst);
        let work = || {
            works.fetch_add(1, Ordering::SeqCst);
            let one = One(works.clone());
            async move {
                let _one = one;
                std::future::pending().await
            }
        };
        candidate.lead(stop, tell, work).await;
    });
    running
}

impl Running {
    fn leads(&self) -> bool {
        let leads = self.leads.load(Ordering::SeqCst);
        let works = self.works.load(Ordering::SeqCst);
        assert!(works <= 1);
        leads
    }

    async fn stop(self) {
        self.tasks.finish(Duration::from_secs(5)).await;
        assert!(!self.leads.load(Ordering::SeqCst));
        assert_eq!(self.works.load(Ordering::SeqCst), 0);
    }
}

fn lease(double: &Double) -> Value {
    let lease = double.api.get(LEASES, "shop", NAME).unwrap();
    lease["spec"].clone()
}

#[tokio::test]
async fn one_leads_and_another_follows_at_once_when_it_stops() {
    let double = Double::start().await;
    let (first, second) = (running(&double, SLOW).await, running(&double, SLOW).await);
    eventually("one to lead", || first.leads() || second.leads()).await;
    tokio::time::sleep(SLOW.period * 5).await;
    assert!(first.leads() != second.leads());
    let (leader, other) = match first.leads() {
        true => (first, second),
        false => (second, first),
    };
    assert_eq!(lease(&double)["holderIdentity"], leader.name);
    assert_eq!(lease(&double)["leaseTransitions"], 0);
    let began = Instant::now();
    leader.stop().await;
    eventually("the other to lead", || other.leads()).await;
    assert!(began.elapsed() < SLOW.duration);
    assert_eq!(lease(&double)["holderIdentity"], other.name);
    assert_eq!(lease(&double)["leaseTransitions"], 1);
    other.stop().await;
    assert_eq!(lease(&double)["holderIdentity"], Value::Null);
}

#[tokio::test]
async fn one_that_dies_is_followed_after_its_time() {
    let double = Double::start().await;
    let dead = running(&double, QUICK).await;
    eventually("it to lead", || dead.leads()).await;
    let other = running(&double, QUICK).await;
    // Without a word to the lease.
    drop(dead);
    let began = Instant::now();
    eventually("the other to lead", || other.leads()).await;
    assert!(began.elapsed() > QUICK.duration / 2);
}

/// What it says of times is another clock's.
#[tokio::test]
async fn clocks_are_not_compared() {
    for renewed in ["2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"] {
        let double = Double::start().await;
        double.api.put(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": NAME, "namespace": "shop"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": renewed},
        }));
        let candidate = running(&double, QUICK).await;
        let began = Instant::now();
        eventually("it to lead", || candidate.leads()).await;
        assert!(began.elapsed() >= QUICK.duration, "{renewed}");
    }
}

#[tokio::test]
async fn one_that_cannot_renew_stops_before_another_may_begin() {
    let double = Double::start().await;
    let leader = running(&double, SLOW).await;
    eventually("it to lead", || leader.leads()).await;
    let began = Instant::now();
    double.api.stall();
    eventually("it to stop", || !leader.leads()).await;
    assert!(began.elapsed() < SLOW.duration);
    assert_eq!(leader.works.load(Ordering::SeqCst), 0);
    double.api.release();
    eventually("it to lead again", || leader.leads()).await;
    // A hiccup is none.
    double
        .api
        .fail(2, 500, |asked| asked.is("update", "leases"));
    double
        .api
        .fail(2, 409, |asked| asked.is("update", "leases"));
    tokio::time::sleep(SLOW.deadline).await;
    assert!(leader.leads());
}

#[tokio::test]
async fn one_whose_lease_is_taken_stops_at_once() {
    let double = Double::start().await;
    let leader = running(&double, SLOW).await;
    eventually("it to lead", || leader.leads()).await;
    let mut taken = double.api.get(LEASES, "shop", NAME).unwrap();
    taken["spec"]["holderIdentity"] = json!("other");
    taken["spec"]["leaseDurationSeconds"] = json!(1);
    double.api.put(taken);
    eventually("it to stop", || !leader.leads()).await;
    eventually("it to follow", || leader.leads()).await;
    // And one that is deleted is made again.
    double.api.delete(LEASES, "shop", NAME);
    eventually("the lease to be back", || {
        double.api.get(LEASES, "shop", NAME).is_some()
    })
    .await;
    eventually("it to lead", || leader.leads()).await;
}

#[tokio::test]
async fn a_renewal_under_way_does_not_keep_it_from_being_given_up() {
    let double = Double::start().await;
    let leader = running(&double, SLOW).await;
    eventually("it to lead", || leader.leads()).await;
    // It is renewed, and nobody is told.
    let slow = Duration::from_millis(300);
    double
        .api
        .delay(1, slow, |asked| asked.is("update", "leases"));
    tokio::time::sleep(SLOW.period * 2).await;
    leader.stop().await;
    let given_up = || lease(&double)["holderIdentity"].is_null();
    eventually("it to be given up", given_up).await;
    tokio::time::sleep(slow).await;
    assert!(given_up());
}
