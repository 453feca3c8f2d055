use super::*;
use crate::store::Compare;
use crate::store::conformance::{self, Harness};

struct InMemory {
    store: Arc<Memory>,
    tasks: Tasks,
}

impl Harness for InMemory {
    const TTL: Duration = Duration::from_secs(30);

    async fn start() -> Self {
        let tasks = Tasks::new(Stop::new());
        let store = Arc::new(Memory::start(&tasks));
        Self { store, tasks }
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn finish(self) {
        self.tasks.finish(Duration::from_secs(1)).await;
    }
}

conformance::suite!(InMemory, start_paused = true);

#[tokio::test(start_paused = true)]
async fn every_start_is_a_new_epoch() {
    let (a, b) = (InMemory::start().await, InMemory::start().await);
    assert_ne!(a.store.epoch().await, b.store.epoch().await);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_expired_for_an_absence_of_this_process() {
    let h = InMemory::start().await;
    let lease = h.store.grant(Duration::from_secs(30)).await.unwrap();
    let put = Transaction::new()
        .when(Compare::Absent("k".into()))
        .put_leased("k", "v", lease);
    h.store.commit(put).await.unwrap();
    h.pass(Duration::from_secs(5)).await;

    // One jump of the clock, as after SIGSTOP and SIGCONT or a suspended machine.
    tokio::time::advance(Duration::from_secs(3600)).await;
    h.pass(Duration::from_secs(29)).await;
    assert!(h.store.get("k").await.unwrap().is_some());
    h.pass(Duration::from_secs(2)).await;
    assert!(h.store.get("k").await.unwrap().is_none());
}
