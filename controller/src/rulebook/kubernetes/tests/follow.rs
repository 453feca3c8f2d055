//! Following the objects through what can happen to a watch.

use super::*;

#[tokio::test]
async fn a_view_comes_back_to_what_is_there_after_every_interruption() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    let epoch = opened.shelf.snapshot().epoch.clone();
    for round in 0..3 {
        match round {
            0 => cluster.api.drop_watches(),
            1 => cluster.api.stop().await,
            _ => {
                cluster.api.stop().await;
                cluster.api.advance_revision(1);
                cluster.api.compact();
            }
        }
        let before = opened.revision();
        let name = format!("new{round}");
        cluster.put(&name, &spec("s"));
        cluster
            .api
            .delete(RULES, NAMESPACE, if round == 0 { "a" } else { "b" });
        if round > 0 {
            assert_eq!(opened.revision(), before);
            eventually("the outage to be told", || !opened.health.is_ready()).await;
            if round == 2 {
                cluster.api.compact();
            }
            cluster.api.start_again().await;
        }
        eventually("the view to have it", || {
            opened.shown() == cluster.destinations()
        })
        .await;
        eventually("it to be ready", || opened.health.is_ready()).await;
        assert!(opened.revision() > before);
        assert_eq!(opened.shelf.snapshot().epoch, epoch);
    }
}

#[tokio::test]
async fn what_is_no_rule_comes_and_goes_without_harm() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s")]).await.unwrap();
    let mut reader = opened.shelf.view().subscribe();
    reader.ready();
    let unknown = json!({
        "apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {"name": "odd", "namespace": NAMESPACE}, "spec": 7,
    });
    cluster.api.put_unchecked(unknown.clone());
    let mut broken = cluster.get("a").unwrap();
    broken["spec"]["match"] = json!({"headers": {"A": "("}});
    broken["metadata"]["generation"] = json!(2);
    cluster.api.put_unchecked(broken);
    eventually("the broken one to go", || opened.shown().is_empty()).await;
    assert!(opened.health.is_ready());
    let contents = opened.book.contents();
    let why = |name: &str| {
        let now = contents.borrow().clone();
        now.objects[name].verdict.clone().unwrap_err().to_string()
    };
    assert_eq!(why("odd"), "spec: must be an object, is the number 7");
    assert!(why("a").contains("match.headers.A"), "{}", why("a"));
    cluster.put("a", &spec("t"));
    eventually("it to come back", || opened.shown() == names(&[("a", "t")])).await;
}

#[tokio::test]
async fn with_the_definition_all_rules_go_and_with_a_new_one_a_new_life_begins() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s")]).await.unwrap();
    let epoch = opened.shelf.snapshot().epoch.clone();
    let definition = "customresourcedefinitions.apiextensions.k8s.io";
    assert!(cluster.api.delete(definition, "", RULES));
    eventually("the rules to go", || opened.shown().is_empty()).await;
    eventually("it to be told", || !opened.health.is_ready()).await;
    let refused = opened.add(&[("b", "s")]).await;
    assert!(
        matches!(refused, Err(WriteError::NoDefinition { .. })),
        "{refused:?}"
    );
    cluster.api.apply_yaml(DEFINITION).await;
    eventually("it to be ready", || opened.health.is_ready()).await;
    opened.add(&[("b", "s")]).await.unwrap();
    assert_eq!(opened.shown(), names(&[("b", "s")]));
    assert_ne!(opened.shelf.snapshot().epoch, epoch);
}

/// Nobody watched while the definition went.
#[tokio::test]
async fn a_definition_that_goes_unseen_takes_the_rules_with_it() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s")]).await.unwrap();
    cluster.api.stop().await;
    let definition = "customresourcedefinitions.apiextensions.k8s.io";
    assert!(cluster.api.delete(definition, "", RULES));
    eventually("the outage to be told", || !opened.health.is_ready()).await;
    assert_eq!(opened.shown(), names(&[("a", "s")]));
    cluster.api.start_again().await;
    eventually("the rules to go", || opened.shown().is_empty()).await;
}

#[tokio::test]
async fn one_that_begins_without_a_definition_is_ready_once_somebody_installs_it() {
    let cluster = Cluster::without_definition().await;
    let way = cluster.open().await;
    let installing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cluster.api.apply_yaml(DEFINITION).await;
    };
    let (opened, ()) = tokio::join!(opened_by(&way), installing);
    opened.add(&[("a", "s")]).await.unwrap();
}

#[tokio::test]
async fn without_a_look_at_the_definition_each_has_an_epoch_of_its_own() {
    let cluster = Cluster::start().await;
    let role = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules: [{apiGroups: [amalgam8.io], resources: [routingrules], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
"#;
    cluster.api.apply_yaml(role).await;
    cluster.put("a", &spec("s"));
    let way = cluster.open_as(cluster.api.token("reader")).await;
    let (first, second) = (opened_by(&way).await, opened_by(&way).await);
    assert_eq!(first.shown(), names(&[("a", "s")]));
    let epoch = |opened: &Opened| opened.shelf.snapshot().epoch.clone();
    assert_ne!(epoch(&first), epoch(&second));
    let refused = first.add(&[("b", "s")]).await;
    let Err(WriteError::NotAllowed { what, reason }) = refused else {
        panic!("{refused:?}")
    };
    let lacking = "create routingrules in API group amalgam8.io in the namespace shop";
    assert_eq!(what, lacking);
    assert!(reason.contains("reader"), "{reason}");
}
