//! What goes wrong on demand.

use std::time::{Duration, Instant};

use a8_apiserver::Options;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};

use crate::kit::{self, config_map, double, double_with};

#[tokio::test]
async fn a_watcher_survives_all_of_it() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let config = watcher::Config::default();
    let mut objects = watcher(maps.clone(), config)
        .default_backoff()
        .applied_objects()
        .boxed();
    let mut next = async |name: &str| {
        let wanted = async {
            loop {
                // Errors are what this is about.
                if let Some(Ok(map)) = objects.next().await
                    && map.metadata.name.as_deref() == Some(name)
                {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wanted)
            .await
            .unwrap();
    };
    let post = PostParams::default();
    maps.create(&post, &config_map("a", "1")).await.unwrap();
    next("a").await;
    api.drop_watches();
    maps.create(&post, &config_map("b", "1")).await.unwrap();
    next("b").await;
    api.restart_compacted().await;
    let fresh = kit::client(&api.admin_kubeconfig()).await;
    let maps: Api<ConfigMap> = Api::namespaced(fresh, "default");
    maps.create(&post, &config_map("c", "1")).await.unwrap();
    next("c").await;
    api.throttle(1, 1, |asked| asked.verb == "watch");
    api.drop_watches();
    maps.create(&post, &config_map("d", "1")).await.unwrap();
    next("d").await;
}

#[tokio::test]
async fn requests_fail_on_demand() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    api.fail(1, 500, |asked| asked.is("list", "configmaps"));
    assert_eq!(
        kit::refusal(maps.list(&ListParams::default()).await).code,
        500
    );
    maps.list(&ListParams::default()).await.unwrap();
    let before = Instant::now();
    api.delay(1, Duration::from_millis(300), |asked| {
        asked.is("list", "configmaps")
    });
    maps.list(&ListParams::default()).await.unwrap();
    assert!(before.elapsed() >= Duration::from_millis(300));
    api.stall();
    let params = ListParams::default();
    let silent = maps.list(&params);
    let waited = tokio::time::timeout(Duration::from_millis(300), silent).await;
    assert!(waited.is_err());
    api.release();
    maps.list(&params).await.unwrap();
}

#[tokio::test]
async fn bookmarks_come_when_they_are_wanted() {
    let options = Options {
        bookmarks: Duration::from_millis(100),
        ..Options::default()
    };
    let (api, client) = double_with(options).await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let at = api.revision().to_string();
    let mut events = maps
        .watch(&WatchParams::default(), &at)
        .await
        .unwrap()
        .boxed();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, WatchEvent::Bookmark(_)), "{event:?}");
}

#[tokio::test]
async fn a_list_can_be_streamed() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let config = watcher::Config::default().streaming_lists();
    let mut events = watcher(maps, config).boxed();
    let mut seen = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        match event {
            watcher::Event::InitApply(_) => seen.push("object"),
            watcher::Event::InitDone => break,
            _ => {}
        }
    }
    assert_eq!(seen, ["object"]);
    drop(api);
}
