//! Following objects through what an API server does to its clients.
#![cfg(feature = "kubernetes")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::pin::Pin;
use std::time::Duration;

use a8_apiserver::{ApiServer, Options};
use a8_common::config::Secret;
use a8_common::kubernetes::{
    Cluster, Config, ROUTING_RULES, Told, Trouble, Wanted, follow, routing_rule,
};
use futures_util::{Stream, StreamExt};
use kube::core::DynamicObject;
use serde_json::json;

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
const LONG: Duration = Duration::from_secs(60);

struct Following {
    api: ApiServer,
    told: Pin<Box<dyn Stream<Item = Told<DynamicObject>> + Send>>,
}

impl Following {
    async fn start() -> Self {
        let api = ApiServer::start(Options::default()).await;
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
        let told = Box::pin(follow(cluster.client.clone(), wanted));
        Self { api, told }
    }

    fn rule(&self, name: &str) {
        self.api.put(
            json!({"apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"destination": "reviews", "route": {"backends": [{"tags": ["v1"]}]}}}),
        );
    }

    /// What is told next, in short.
    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(LONG, self.told.next());
        let name = |object: &DynamicObject| object.metadata.name.clone().unwrap();
        match next.await.expect("nothing is told").unwrap() {
            Told::All { objects, .. } => {
                let names: Vec<_> = objects.iter().map(name).collect();
                format!("all {}", names.join(",")).trim_end().to_owned()
            }
            Told::Put(object) => format!("put {}", name(&object)),
            Told::Gone(object) => format!("gone {}", name(&object)),
            Told::Reached(_) => "reached".to_owned(),
            Told::NoSuchKind => "no such kind".to_owned(),
            Told::Trouble(Trouble { refused, .. }) => format!("trouble, refused: {refused}"),
        }
    }

    /// What is told first that is neither trouble nor a mere sign of life.
    async fn news(&mut self) -> String {
        loop {
            let next = self.next().await;
            if !next.starts_with("trouble") && next != "reached" {
                return next;
            }
        }
    }

    async fn follow_all(&mut self) {
        assert!(self.next().await.starts_with("all"));
        assert_eq!(self.next().await, "reached");
    }
}

#[tokio::test]
async fn changes_are_told_one_by_one() {
    let mut following = Following::start().await;
    following.rule("a");
    assert_eq!(following.next().await, "all a");
    assert_eq!(following.next().await, "reached");
    following.rule("b");
    assert_eq!(following.next().await, "put b");
    let deleted = following
        .api
        .delete("routingrules.amalgam8.io", "default", "a");
    assert!(deleted);
    assert_eq!(following.next().await, "gone a");
}

#[tokio::test]
async fn an_api_server_that_is_back_is_noticed_although_nothing_has_changed() {
    let mut following = Following::start().await;
    following.rule("a");
    following.follow_all().await;
    following.api.stop().await;
    assert_eq!(following.next().await, "trouble, refused: false");
    following.api.start_again().await;
    while following.next().await != "reached" {}
    // Where it stood is where it goes on.
    following.rule("b");
    assert_eq!(following.news().await, "put b");
}

#[tokio::test]
async fn history_that_is_gone_makes_a_list_anew() {
    let mut following = Following::start().await;
    following.rule("a");
    following.follow_all().await;
    following.api.restart_compacted().await;
    assert_eq!(following.news().await, "all a");
    // And told of within a watch.
    following.api.stop().await;
    following.rule("b");
    following.api.compact();
    following.api.start_again().await;
    assert_eq!(following.news().await, "all a,b");
}

#[tokio::test]
async fn lists_come_in_pages_and_begin_anew_where_one_grew_too_old() {
    let mut following = Following::start().await;
    for n in 0..1201 {
        following.rule(&format!("rule-{n}"));
    }
    following.api.fail(1, 410, |asked| {
        asked.verb == "list" && asked.query.contains("continue=")
    });
    let all = following.next().await;
    assert_eq!(all.matches("rule-").count(), 1201);
    let asked = following.api.requests();
    let lists: Vec<_> = asked
        .iter()
        .filter(|a| a.is("list", "routingrules"))
        .collect();
    let limits: Vec<_> = lists.iter().map(|a| a.query.contains("limit=")).collect();
    assert_eq!(limits, [true, true, false], "the second time at once");
}

#[tokio::test]
async fn with_the_kind_all_objects_go_and_another_life_of_it_is_followed() {
    let mut following = Following::start().await;
    following.rule("a");
    following.follow_all().await;
    following.api.stop().await;
    following
        .api
        .delete(DEFINITIONS, "", "routingrules.amalgam8.io");
    following.api.compact();
    following.api.start_again().await;
    assert_eq!(following.news().await, "no such kind");
    let crd = routing_rule::crd_yaml().unwrap();
    following.api.apply_yaml(&crd).await;
    following.rule("z");
    let mut news = following.news().await;
    while news == "no such kind" || news == "all" {
        news = following.news().await;
    }
    assert!(news == "all z" || news == "put z", "{news}");
}

#[tokio::test]
async fn a_strangers_404_is_no_word_on_what_there_is() {
    let mut following = Following::start().await;
    following.rule("a");
    following.follow_all().await;
    let routing_rules = |asked: &a8_apiserver::Asked| asked.resource == "routingrules";
    following.api.fail(3, 404, routing_rules);
    following.api.drop_watches();
    for _ in 0..3 {
        assert_eq!(following.next().await, "trouble, refused: false");
    }
    assert_eq!(following.next().await, "reached");
}

#[tokio::test]
async fn refusals_are_told_apart_and_an_api_server_that_asks_to_wait_is_heard() {
    let mut following = Following::start().await;
    following.follow_all().await;
    let watches = |asked: &a8_apiserver::Asked| asked.verb == "watch";
    following.api.fail(1, 403, watches);
    following.api.drop_watches();
    assert_eq!(following.next().await, "trouble, refused: true");
    assert_eq!(following.next().await, "reached");
    following.api.throttle(1, 2, watches);
    following.api.drop_watches();
    assert_eq!(following.next().await, "trouble, refused: false");
    let asked = tokio::time::Instant::now();
    assert_eq!(following.next().await, "reached");
    assert!(asked.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn watches_that_end_at_once_are_not_begun_as_often_as_they_can() {
    let mut following = Following::start().await;
    following.follow_all().await;
    following.api.clear_requests();
    let cuts = async {
        for _ in 0..300 {
            following.api.drop_watches();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = async { while following.told.next().await.is_some() {} };
    tokio::select! { () = cuts => {} () = told => {} }
    let watches = following.api.requests();
    let watches = watches.iter().filter(|a| a.verb == "watch").count();
    assert!((1..12).contains(&watches), "{watches} within 3 s");
}
