//! What writes make of objects.

use super::*;

#[tokio::test]
async fn an_id_that_no_object_can_have_is_refused_by_name() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let refused = opened.add(&[("good", "s"), ("Bad_One", "s")]).await;
    let Err(WriteError::Invalid(faults)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (faults.len(), faults[0].rule, &*faults[0].path),
        (1, Some(1), "id")
    );
    assert_eq!(cluster.destinations(), names(&[]));
}

#[tokio::test]
async fn new_objects_say_who_made_them_and_others_keep_what_they_have() {
    let cluster = Cluster::start().await;
    cluster.api.put(json!({
        "apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {
            "name": "theirs", "namespace": NAMESPACE, "labels": {"team": "x"},
            "annotations": {"note": "mine"},
        },
        "spec": {"id": "theirs", "destination": "s", "route": {"backends": [{"tags": ["t"]}]}},
        "status": {"state": "valid"},
    }));
    let opened = opened(&cluster).await;
    opened.add(&[("ours", "s"), ("theirs", "t")]).await.unwrap();
    let label = "app.kubernetes.io/managed-by";
    assert_eq!(
        cluster.get("ours").unwrap()["metadata"]["labels"][label],
        "a8controller"
    );
    let theirs = cluster.get("theirs").unwrap();
    assert_eq!(theirs["metadata"]["labels"], json!({"team": "x"}));
    assert_eq!(theirs["metadata"]["annotations"], json!({"note": "mine"}));
    assert_eq!(theirs["status"]["state"], "valid");
    assert_eq!(theirs["spec"]["destination"], "t");
    assert_eq!(theirs["spec"].get("id"), None);
}

#[tokio::test]
async fn what_changes_meanwhile_is_looked_at_again() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    for verb in ["update", "delete"] {
        cluster
            .api
            .fail(2, 409, move |asked| asked.is(verb, "routingrules"));
    }
    opened.update(&[("a", "t")]).await.unwrap();
    opened.remove(by_id(&["b"])).await.unwrap();
    assert_eq!(cluster.destinations(), names(&[("a", "t")]));
    cluster
        .api
        .fail(100, 409, |asked| asked.is("update", "routingrules"));
    let contended = opened.update(&[("a", "u")]).await;
    assert!(
        matches!(contended, Err(WriteError::Contended)),
        "{contended:?}"
    );
}

#[tokio::test]
async fn what_another_deletes_or_makes_meanwhile_is_taken_as_it_is_then() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    opened.add(&[("a", "s"), ("b", "s")]).await.unwrap();
    let slow = Duration::from_millis(200);
    cluster
        .api
        .delay(1, slow, |asked| asked.is("update", "routingrules"));
    let deleting = async {
        tokio::time::sleep(slow / 4).await;
        cluster.api.delete(RULES, NAMESPACE, "a");
    };
    let (updated, ()) = tokio::join!(opened.update(&[("a", "t")]), deleting);
    assert!(matches!(updated, Err(WriteError::Unknown(ids)) if ids == ["a"]));
    cluster
        .api
        .delay(1, slow, |asked| asked.is("create", "routingrules"));
    let making = async {
        tokio::time::sleep(slow / 4).await;
        cluster.put("a", &spec("other"));
    };
    let (added, ()) = tokio::join!(opened.add(&[("a", "t")]), making);
    added.unwrap();
    // It no longer is one of those that shall go.
    cluster
        .api
        .delay(1, slow, |asked| asked.is("delete", "routingrules"));
    let changing = async {
        tokio::time::sleep(slow / 4).await;
        cluster.put("b", &spec("kept"));
    };
    let (removed, ()) = tokio::join!(opened.remove(to("s")), changing);
    removed.unwrap();
    assert_eq!(cluster.destinations(), names(&[("a", "t"), ("b", "kept")]));
}

#[tokio::test]
async fn what_the_definition_refuses_is_told_with_rule_and_path_and_nothing_is_stored() {
    let cluster = Cluster::without_definition().await;
    let older = DEFINITION.replace(
        "                  affinity:\n",
        "                  former:\n",
    );
    let stricter = older.replace("maximum: 599", "maximum: 404");
    assert_ne!(older, DEFINITION);
    assert_ne!(stricter, older);
    cluster.api.apply_yaml(&stricter).await;
    let opened = opened(&cluster).await;
    let rules = json!([
        {"id": "a", "destination": "s", "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "b", "destination": "s", "actions": [{"action": "abort", "return_code": 500}]},
        {"id": "c", "destination": "s", "route": {"backends": [{"tags": ["t"]}], "affinity": {"cookie": "x"}}},
    ]);
    let rules = parse_value(rules).unwrap();
    let refused = opened.book.add(&rules, &IfMatch::Any, Mode::Commit).await;
    let Err(WriteError::Invalid(faults)) = refused else {
        panic!("{refused:?}")
    };
    let places: Vec<_> = faults
        .iter()
        .map(|fault| (fault.rule, &*fault.path))
        .collect();
    assert_eq!(places, [(Some(1), "actions[0].return_code"), (Some(2), "")]);
    assert!(
        faults[1].reason.contains("affinity"),
        "{}",
        faults[1].reason
    );
    assert_eq!(cluster.destinations(), names(&[]));
}

#[tokio::test]
async fn a_dry_run_asks_the_cluster_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let before = opened.add(&[("a", "s")]).await.unwrap();
    let rules = rules(&[("a", "t"), ("b", "t")]);
    let trial = opened.book.add(&rules, &IfMatch::Any, Mode::DryRun).await;
    assert_eq!(trial.unwrap(), before);
    cluster
        .api
        .fail(1, 403, |asked| asked.is("create", "routingrules"));
    let refused = opened.book.add(&rules, &IfMatch::Any, Mode::DryRun).await;
    assert!(matches!(refused, Err(WriteError::Denied(_))), "{refused:?}");
    let removed = opened
        .book
        .remove(&to("s"), &IfMatch::Any, Mode::DryRun)
        .await
        .unwrap();
    assert_eq!(removed.ids.len(), 1);
    assert_eq!(cluster.destinations(), names(&[("a", "s")]));
}

#[tokio::test]
async fn objects_that_are_no_rules_can_be_replaced_and_deleted() {
    let cluster = Cluster::start().await;
    let bad = json!({"destination": "s", "match": {"headers": {"A": "("}}, "route": {"backends": [{"tags": ["t"]}]}});
    for name in ["a", "b", "c"] {
        cluster.put(name, &bad);
    }
    cluster.put("good", &spec("s"));
    let opened = opened(&cluster).await;
    assert_eq!(opened.shown(), names(&[("good", "s")]));
    opened.update(&[("a", "t")]).await.unwrap();
    assert_eq!(opened.shown(), names(&[("a", "t"), ("good", "s")]));
    // Nobody can say where they lead.
    opened.remove(to("s")).await.unwrap();
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 3);
    opened.remove(by_id(&["b"])).await.unwrap();
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 2);
    let removed = opened.remove(Selection::default()).await.unwrap();
    assert_eq!(removed.ids.len(), 2);
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 0);
}

#[tokio::test]
async fn many_rules_are_written_by_few_calls_at_once() {
    let cluster = Cluster::start().await;
    let opened = opened(&cluster).await;
    let ids: Vec<String> = (0..100).map(|n| format!("m{n}")).collect();
    let many: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "s")).collect();
    let revision = opened.add(&many).await.unwrap();
    assert_eq!((opened.shown().len(), opened.revision()), (100, revision));
    cluster.api.clear_requests();
    opened.remove(to("s")).await.unwrap();
    assert_eq!(opened.shown().len(), 0);
    let asked = cluster.api.requests();
    assert_eq!(asked.iter().filter(|asked| asked.verb == "get").count(), 0);
    assert_eq!(
        asked.iter().filter(|asked| asked.verb == "delete").count(),
        200
    );
}
