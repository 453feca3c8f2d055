//! The catalog over a real store in memory, on a paused clock.

use std::time::Duration;

use a8_common::http::Health;
use a8_common::model::{Endpoint, EndpointType, Epoch, ServiceName, Tags};
use a8_common::source::{Link, Source};
use a8_common::store::Memory;
use a8_common::task::{Stop, Tasks};
use a8_common::view::Publisher;
use prometheus::Registry;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Fixture {
    catalog: Catalog,
    red: Namespace,
    _tasks: Tasks,
}

async fn fixture(capacity: Option<usize>) -> Fixture {
    let tasks = Tasks::new(Stop::new());
    let store = Arc::new(Memory::start(&tasks));
    over(store, tasks, capacity).await
}

async fn over(store: Arc<dyn Store>, tasks: Tasks, capacity: Option<usize>) -> Fixture {
    beside(None, store, tasks, capacity).await
}

async fn beside(
    cluster: Option<Box<Discovery>>,
    store: Arc<dyn Store>,
    tasks: Tasks,
    capacity: Option<usize>,
) -> Fixture {
    let health = Health::new();
    let limits = Limits {
        default_ttl: 30 * SECOND,
        min_ttl: 10 * SECOND,
        max_ttl: 600 * SECOND,
        capacity,
    };
    let ground = Ground {
        store,
        tasks: &tasks,
        health: &health,
        metrics: &Registry::new(),
    };
    let catalog = Catalog::start(ground, limits, cluster).unwrap();
    while !health.is_ready() {
        tokio::task::yield_now().await;
    }
    Fixture {
        catalog,
        red: Namespace::new("red").unwrap(),
        _tasks: tasks,
    }
}

impl Fixture {
    async fn register(
        &self,
        port: u16,
        status: Status,
        ttl: u64,
    ) -> Result<Registered, RegisterError> {
        let announcement = Announcement {
            service_name: ServiceName::new("reviews").unwrap(),
            endpoint: Endpoint::new(EndpointType::Http, &format!("h:{port}")).unwrap(),
            ttl: Some(Duration::from_secs(ttl)),
            status,
            tags: Tags::parse_list("version=v1").unwrap(),
            metadata: None,
        };
        self.catalog.register(&self.red, announcement).await
    }

    fn count(&self) -> usize {
        self.catalog.room(&self.red).unwrap().len()
    }

    /// Lets `time` pass in steps, as it does.
    async fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() {
            advance(SECOND).await;
            sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_lives_from_heartbeat_to_heartbeat() {
    let fixture = fixture(None).await;
    let mine = fixture.register(1, Status::Up, 20).await.unwrap();
    assert_eq!((fixture.count(), mine.ttl), (1, 20));
    for _ in 0..5 {
        fixture.pass(15 * SECOND).await;
        fixture.catalog.renew(&fixture.red, &mine.id).await.unwrap();
    }
    assert_eq!(fixture.count(), 1);
    fixture.pass(22 * SECOND).await;
    assert_eq!(fixture.count(), 0);
    let late = fixture.catalog.renew(&fixture.red, &mine.id).await;
    assert!(matches!(late, Err(RenewError::Unknown(id)) if id == mine.id));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_holds_at_the_start_is_there() {
    let first = fixture(None).await;
    let mine = first.register(1, Status::Up, 20).await.unwrap();
    let store = first.catalog.store.clone();
    let second = over(store, Tasks::new(Stop::new()), None).await;
    assert_eq!(second.count(), 1);
    second.catalog.renew(&second.red, &mine.id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_out_of_service_stays_until_back() {
    let fixture = fixture(None).await;
    let mine = fixture.register(1, Status::OutOfService, 20).await.unwrap();
    fixture.pass(700 * SECOND).await;
    assert_eq!(fixture.count(), 1);
    fixture.catalog.renew(&fixture.red, &mine.id).await.unwrap();
    fixture.register(1, Status::Up, 20).await.unwrap();
    fixture.pass(22 * SECOND).await;
    assert_eq!(fixture.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn registering_again_replaces_the_time_to_live() {
    let fixture = fixture(None).await;
    fixture.register(1, Status::Up, 20).await.unwrap();
    fixture.register(1, Status::Up, 100).await.unwrap();
    // The first lease is gone, and must not take the instance with it.
    fixture.pass(60 * SECOND).await;
    assert_eq!(fixture.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn leaving_makes_room_and_is_done_once() {
    let fixture = fixture(Some(1)).await;
    let first = fixture.register(1, Status::Up, 20).await.unwrap();
    let full = fixture.register(2, Status::Up, 20).await;
    assert!(matches!(full, Err(RegisterError::Full { capacity: 1 })));
    fixture.register(1, Status::Up, 20).await.unwrap();
    fixture
        .catalog
        .deregister(&fixture.red, &first.id)
        .await
        .unwrap();
    assert!(
        fixture
            .catalog
            .deregister(&fixture.red, &first.id)
            .await
            .is_err()
    );
    fixture.register(2, Status::Up, 20).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_changes_the_time_shown_and_no_revision() {
    let fixture = fixture(None).await;
    let mine = fixture.register(1, Status::Up, 20).await.unwrap();
    let room = fixture.catalog.room(&fixture.red).unwrap();
    let before = room.view().snapshot();
    let (_, instance) = before.items.get_min().unwrap();
    let (shown, beats) = (room.last_heartbeat(instance), room.beats());
    std::thread::sleep(Duration::from_millis(2));
    fixture.catalog.renew(&fixture.red, &mine.id).await.unwrap();
    assert!(room.last_heartbeat(instance) > shown && room.beats() > beats);
    assert_eq!(room.view().snapshot().revision, before.revision);
}

#[test]
fn a_time_to_live_is_clamped() {
    let limits = Limits {
        default_ttl: 30 * SECOND,
        min_ttl: 10 * SECOND,
        max_ttl: 600 * SECOND,
        capacity: None,
    };
    for (wanted, granted) in [
        (None, 30),
        (Some(0), 30),
        (Some(1), 10),
        (Some(50), 50),
        (Some(u64::MAX), 600),
    ] {
        assert_eq!(
            limits.ttl(wanted.map(Duration::from_secs)),
            granted * SECOND,
            "{wanted:?}"
        );
    }
}

/// A cluster that tells what the test says.
struct Told(tokio::sync::mpsc::UnboundedReceiver<Vec<&'static str>>);

#[async_trait::async_trait]
impl Source<Instance> for Told {
    async fn run(
        mut self: Box<Self>,
        out: Publisher<Instance>,
        _: tokio::sync::watch::Sender<Link>,
        _: Stop,
    ) {
        let epoch = Epoch::fresh();
        let mut revision = 0;
        while let Some(hosts) = self.0.recv().await {
            revision += 1;
            let instance = |host: &&str| {
                Arc::new(Instance {
                    id: InstanceId::new(format!("uid-{host}")).unwrap(),
                    service_name: ServiceName::new("reviews").unwrap(),
                    endpoint: Endpoint::new(EndpointType::Http, host).unwrap(),
                    ttl: 0,
                    status: Status::Up,
                    last_heartbeat: Timestamp::UNIX_EPOCH,
                    tags: Tags::default(),
                    metadata: None,
                })
            };
            out.replace(
                &epoch,
                Revision(revision),
                hosts.iter().map(instance).collect(),
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_cluster_tells_of_is_there_beside_what_registered() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tell.send(vec!["a:1", "b:1"]).unwrap();
    let tasks = Tasks::new(Stop::new());
    let store = Arc::new(Memory::start(&tasks));
    let mut fixture = beside(Some(Box::new(Told(told))), store, tasks, None).await;
    fixture.red = Namespace::default_one();
    sleep(SECOND).await;
    assert_eq!(fixture.count(), 2);
    let own = fixture.register(80, Status::Up, 30).await.unwrap();
    assert_eq!(fixture.count(), 3);
    // The cluster says who is there; nobody else does.
    let theirs = InstanceId::new("uid-a:1").unwrap();
    let Fixture { catalog, red, .. } = &fixture;
    let refused = catalog.renew(red, &theirs).await;
    assert!(
        matches!(refused, Err(RenewError::OfCluster(_))),
        "{refused:?}"
    );
    let refused = catalog.deregister(red, &theirs).await;
    assert!(
        matches!(refused, Err(RenewError::OfCluster(_))),
        "{refused:?}"
    );
    sleep(20 * SECOND).await;
    catalog.renew(red, &own.id).await.unwrap();
    tell.send(vec!["b:1"]).unwrap();
    sleep(20 * SECOND).await;
    assert_eq!(fixture.count(), 2, "the own and the other");
    sleep(60 * SECOND).await;
    assert_eq!(fixture.count(), 1, "only what registered expires");
}
