//! Objects: made, read, changed, followed, deleted.

use futures_util::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::kit::{self, config_map, double};

#[tokio::test]
async fn objects_are_made_read_changed_and_deleted() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let made = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    assert!(made.uid().is_some());
    let version = made.resource_version().unwrap();
    let again = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(kit::reason(again), "AlreadyExists");

    let mut changed = made.clone();
    changed.data = Some([("k".to_owned(), "2".to_owned())].into());
    let changed = maps
        .replace("a", &PostParams::default(), &changed)
        .await
        .unwrap();
    assert_ne!(changed.resource_version(), Some(version.clone()));
    let stale = maps.replace("a", &PostParams::default(), &made).await;
    assert_eq!(kit::reason(stale), "Conflict");

    let patch = Patch::Merge(json!({"data": {"k": null, "l": "3"}}));
    let patched = maps
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(
        patched.data.unwrap(),
        [("l".to_owned(), "3".to_owned())].into()
    );

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(kit::reason(maps.get("a").await), "NotFound");
    drop(api);
}

#[tokio::test]
async fn a_watch_tells_what_happens() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let list = maps.list(&ListParams::default()).await.unwrap();
    let at = list.metadata.resource_version.unwrap();
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let stream = maps
        .watch(&WatchParams::default().timeout(2), &at)
        .await
        .unwrap();
    let events: Vec<_> = stream.try_collect().await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Deleted(_) => "deleted",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["added", "deleted"]);
    drop(api);
}

#[tokio::test]
async fn a_forgotten_revision_is_gone() {
    let (api, client) = double().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    let list = maps.list(&ListParams::default()).await.unwrap();
    let at = list.metadata.resource_version.unwrap();
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    api.compact();
    let mut stream = maps
        .watch(&WatchParams::default(), &at)
        .await
        .unwrap()
        .boxed();
    match stream.next().await.unwrap().unwrap() {
        WatchEvent::Error(status) => assert_eq!(status.code, 410),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn wrong_objects_are_refused_with_their_fields() {
    let (api, client) = double().await;
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 70000}]},
    }))
    .unwrap();
    let refused = services.create(&PostParams::default(), &service).await;
    assert_eq!(
        kit::fields(refused),
        ["spec.ports[0].port", "spec.ports[0].targetPort"]
    );
    let pods: Api<Pod> = Api::namespaced(client, "nowhere");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    assert_eq!(
        kit::reason(pods.create(&PostParams::default(), &pod).await),
        "NotFound"
    );
    drop(api);
}
