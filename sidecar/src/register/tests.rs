use a8_common::model::{ServiceName, Tags};
use a8_common::registration::memory::Memory;
use a8_common::task::Tasks;

use super::*;

fn place(host: Option<&str>) -> Itself {
    Itself {
        service: ServiceName::new("reviews").ok(),
        tags: Tags::parse_list("version=v1").ok(),
        host: host.map(Into::into),
        port: Some(9080),
        ..Itself::default()
    }
}

struct Rig {
    registry: Arc<Memory>,
    itself: watch::Sender<Itself>,
    health: watch::Sender<Report>,
    standing: watch::Receiver<Standing>,
    tasks: Tasks,
}

fn rig(itself: Itself) -> Rig {
    rig_with(itself, Memory::default())
}

fn rig_with(itself: Itself, registry: Memory) -> Rig {
    let registry = Arc::new(registry);
    let registries = vec![("127.0.0.1".into(), 1)];
    let (told, itself) = watch::channel(itself);
    let (health, report) = watch::channel(Report {
        up: true,
        ..Report::default()
    });
    let known = watch::channel(true).1;
    let (registrar, standing) = Registrar::new(registry.clone(), registries, itself, known, report);
    let tasks = Tasks::new(Stop::new());
    tasks.spawn("register", registrar.run(tasks.stop().clone()));
    Rig {
        registry,
        itself: told,
        health,
        standing,
        tasks,
    }
}

#[tokio::test(start_paused = true)]
async fn it_registers_renews_and_takes_itself_away() {
    let mut rig = rig(place(Some("10.0.0.9")));
    rig.standing.wait_for(|s| s.id.is_some()).await.unwrap();
    let known = rig.registry.known();
    let (_, instance) = known.first_key_value().unwrap();
    assert_eq!(instance.announcement.endpoint.value(), "10.0.0.9:9080");
    assert_eq!(instance.announcement.tags.to_string(), "version=v1");
    tokio::time::sleep(Duration::from_secs(300)).await;
    // The lease is 30 s: a beat every 9 to 10 s.
    let beats = rig.registry.known().values().next().unwrap().renewals;
    assert!((30..=40).contains(&beats), "{beats}");
    rig.tasks.finish(Duration::from_secs(10)).await;
    assert!(rig.registry.known().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_forgets_is_told_again() {
    let mut rig = rig(place(Some("h")));
    rig.standing.wait_for(|s| s.id.is_some()).await.unwrap();
    rig.registry.forget();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(rig.registry.known().len(), 1);
}

#[tokio::test]
async fn the_own_address_is_that_towards_the_registry() {
    let registries = vec![("127.0.0.1".into(), 1)];
    let own = endpoint(&place(None), &registries).await.unwrap();
    assert_eq!(own.value(), "127.0.0.1:9080");
    let ipv6 = endpoint(&place(Some("::1")), &registries).await.unwrap();
    assert_eq!(ipv6.value(), "[::1]:9080");
    let unreachable = endpoint(&place(None), &vec![]).await;
    assert!(matches!(unreachable, Err(PlaceError::Address)));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_becomes_another_is_registered_as_that() {
    let mut rig = rig(place(Some("10.0.0.9")));
    rig.standing.wait_for(|s| s.id.is_some()).await.unwrap();
    let tags = |rig: &Rig| -> Vec<String> {
        let known = rig.registry.known();
        let tags = known.values().map(|i| i.announcement.tags.to_string());
        tags.collect()
    };
    rig.itself
        .send_modify(|itself| itself.tags = Tags::parse_list("version=v2").ok());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tags(&rig), ["version=v2"]);
    rig.itself.send_modify(|itself| itself.port = Some(9081));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let known = rig.registry.known();
    let endpoints = known.values().map(|i| i.announcement.endpoint.value());
    assert_eq!(endpoints.collect::<Vec<_>>(), ["10.0.0.9:9081"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_registered_while_it_is_well() {
    let mut rig = rig(place(Some("10.0.0.9")));
    for _ in 0..2 {
        rig.standing.wait_for(|s| s.id.is_some()).await.unwrap();
        assert_eq!(rig.registry.known().len(), 1);
        rig.health.send_modify(|report| report.up = false);
        rig.standing.wait_for(|s| s.id.is_none()).await.unwrap();
        assert!(rig.registry.known().is_empty());
        // However long that takes.
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(rig.registry.known().is_empty());
        rig.health.send_modify(|report| report.up = true);
    }
    rig.standing.wait_for(|s| s.id.is_some()).await.unwrap();
    rig.tasks.finish(Duration::from_secs(10)).await;
    assert!(rig.registry.known().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registration_under_way_is_taken_away_when_it_is_answered() {
    let pause = Duration::from_millis(1500);
    let slow = || rig_with(place(Some("10.0.0.9")), Memory::slow(pause));
    let rig = slow();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.registry.known().len(), 1);
    rig.tasks.finish(Duration::from_secs(10)).await;
    assert!(rig.registry.known().is_empty());
    // Also when it is the service that is no longer well.
    let rig = slow();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(rig.registry.known().len(), 1);
    rig.health.send_modify(|report| report.up = false);
    sleep(Duration::from_secs(3)).await;
    assert!(rig.registry.known().is_empty());
}
