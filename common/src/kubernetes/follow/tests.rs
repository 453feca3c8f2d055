//! What is read out of refusals; and how long it waits after failures, which shows at the pauses
//! themselves: nobody waits for the long ones.

use std::time::Duration;

use a8_apiserver::{ApiServer, Asked, Options};

use super::steps::{Follower, Step};
use super::{Wanted, lacking_permission};
use crate::config::Secret;
use crate::kubernetes::{Cluster, Config, ROUTING_RULES, routing_rule};

/// Without its jitter, which may double it.
const SHORTEST: Duration = Duration::from_millis(200);

async fn follower(api: &ApiServer) -> Follower {
    api.apply_yaml(&routing_rule::crd_yaml().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, api.ca_pem()).unwrap();
    let config = Config {
        url: api.url().parse().ok(),
        token: Some(Secret::new(api.admin_token())),
        ca_cert_file: Some(ca),
        namespace: Some("default".to_owned()),
    };
    let cluster = Cluster::open(&config).await.unwrap();
    let wanted = Wanted {
        resource: ROUTING_RULES,
        namespace: Some(&cluster.namespace),
        name: None,
    };
    Follower::new(cluster.client, wanted)
}

async fn reached(follower: &mut Follower) {
    while !matches!(follower.next().await, Step::Reached(_)) {}
}

/// What it waits after the next failure. It does not wait.
async fn pause_after_trouble(follower: &mut Follower) -> Duration {
    while !matches!(follower.next().await, Step::Trouble(_)) {}
    follower.take_pause().unwrap()
}

#[tokio::test]
async fn after_an_outage_pauses_begin_anew() {
    let api = ApiServer::start(Options::default()).await;
    let mut follower = follower(&api).await;
    reached(&mut follower).await;
    let watches = |asked: &Asked| asked.verb == "watch";
    api.fail(8, 500, watches);
    api.drop_watches();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(pause_after_trouble(&mut follower).await);
    }
    let longest = pauses[7];
    assert!(pauses[0] <= 2 * SHORTEST, "{pauses:?}");
    assert!(
        (15 * SHORTEST..=30 * SHORTEST).contains(&longest),
        "{pauses:?}"
    );
    reached(&mut follower).await;
    api.fail(1, 500, watches);
    api.drop_watches();
    let first = pause_after_trouble(&mut follower).await;
    assert!(first <= 2 * SHORTEST, "{first:?}");
}

#[test]
fn what_an_admission_webhook_says_is_no_lack_of_permission() {
    let denied = "admission webhook \"policy\" denied the request: a rule cannot take all";
    assert_eq!(lacking_permission(denied), None);
}

#[test]
fn what_is_lacking_is_said_without_who_asks() {
    let said = "routingrules.amalgam8.io is forbidden: User \"x\" cannot list resource \
                \"routingrules\" in API group \"amalgam8.io\" in the namespace \"y\"";
    let short = "list routingrules in API group amalgam8.io in the namespace y";
    assert_eq!(lacking_permission(said).as_deref(), Some(short));
    let pods = "pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" \
                in the namespace \"y\"";
    let both = format!("{said}; {pods}");
    assert_eq!(
        lacking_permission(&both),
        Some(format!("{short}; list pods in the namespace y"))
    );
}
