use a8_common::registration::memory::Memory;
use a8_common::task::Tasks;

use super::*;

fn place(host: Option<&str>) -> Place {
    Place {
        host: host.map(Into::into),
        port: 9080,
        kind: EndpointType::Http,
        protocol: None,
        registries: vec![("127.0.0.1".into(), 1)],
    }
}

struct Rig {
    registry: Arc<Memory>,
    standing: watch::Receiver<Standing>,
    tasks: Tasks,
}

fn rig(place: Place) -> Rig {
    let registry = Arc::new(Memory::default());
    let identity = "reviews:version=v1".parse().unwrap();
    let (registrar, standing) = Registrar::new(registry.clone(), identity, place);
    let tasks = Tasks::new(Stop::new());
    tasks.spawn("register", registrar.run(tasks.stop().clone()));
    Rig {
        registry,
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
    // The lease is 30 s: a beat every 7.5 to 10 s.
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
    let endpoint = place(None).endpoint().await.unwrap();
    assert_eq!(endpoint.value(), "127.0.0.1:9080");
    let ipv6 = place(Some("::1")).endpoint().await.unwrap();
    assert_eq!(ipv6.value(), "[::1]:9080");
    let unreachable = Place {
        registries: vec![],
        ..place(None)
    };
    assert!(matches!(
        unreachable.endpoint().await,
        Err(PlaceError::Address)
    ));
}
