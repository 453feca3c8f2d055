use a8_common::http::Health;
use a8_common::task::Tasks;
use prometheus::Registry;
use serde_json::{Value, json};

use super::*;
use crate::rulebook::kubernetes::tests::{Cluster as Double, eventually};

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// One who may look at the definition and no more.
const READER: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [routingrules.amalgam8.io]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
"#;

async fn keeping(double: &Double, token: String) -> (Health, Tasks) {
    let (tasks, health) = (Tasks::new(Stop::new()), Health::new());
    let site = Site {
        tasks: &tasks,
        health: &health,
        metrics: &Registry::new(),
    };
    start(&double.open_as(token).await, &site);
    (health, tasks)
}

fn definition(double: &Double) -> Option<Value> {
    double.api.get(DEFINITIONS, "", DEFINITION)
}

fn version(double: &Double) -> Value {
    let definition = definition(double).unwrap();
    definition["metadata"]["annotations"]["amalgam8.io/definition-version"].clone()
}

/// Ours with another version, and without the member `affinity`.
fn of_version(version: &str) -> String {
    let mut ours = serde_json::to_value(crd()).unwrap();
    ours["metadata"]["annotations"] = json!({"amalgam8.io/definition-version": version});
    ours.to_string().replace("\"affinity\"", "\"attachment\"")
}

#[tokio::test]
async fn what_is_lacking_is_installed_and_what_is_deleted_later_is_not() {
    let double = Double::without_definition().await;
    let (health, _tasks) = keeping(&double, double.api.admin_token()).await;
    eventually("it to be ready", || health.is_ready()).await;
    assert_eq!(version(&double), DEFINITION_VERSION.to_string());
    assert!(double.api.delete(DEFINITIONS, "", DEFINITION));
    eventually("that to be told", || !health.is_ready()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(definition(&double), None);
    double.api.apply_yaml(&of_version("1")).await;
    eventually("it to be ready", || health.is_ready()).await;
}

#[tokio::test]
async fn an_older_one_is_renewed_and_a_newer_one_left_alone() {
    for (before, after) in [("0", "1"), ("odd", "1"), ("1", "1"), ("7", "7")] {
        let double = Double::without_definition().await;
        double.api.apply_yaml(&of_version(before)).await;
        let (health, _tasks) = keeping(&double, double.api.admin_token()).await;
        eventually("it to be ready", || health.is_ready()).await;
        eventually(before, || version(&double) == after).await;
        let text = definition(&double).unwrap().to_string();
        assert_eq!(text.contains("\"affinity\""), before != after, "{before}");
    }
}

#[tokio::test]
async fn one_that_may_not_install_it_waits_for_somebody_who_does() {
    let double = Double::without_definition().await;
    double.api.apply_yaml(READER).await;
    let (health, _tasks) = keeping(&double, double.api.token("reader")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!health.is_ready());
    double.api.apply_yaml(&of_version("0")).await;
    // It may not renew it either, and goes on with it.
    eventually("it to be ready", || health.is_ready()).await;
    assert_eq!(version(&double), "0");
}

#[tokio::test]
async fn one_that_may_not_even_look_does_not_stand_in_the_way() {
    let double = Double::start().await;
    let (health, _tasks) = keeping(&double, double.api.token("nobody")).await;
    eventually("it to be ready", || health.is_ready()).await;
}

#[tokio::test]
async fn an_api_server_that_is_away_is_waited_for() {
    let double = Double::without_definition().await;
    double.api.fail(1, 500, |asked| asked.verb == "patch");
    double.api.stop().await;
    let (health, _tasks) = keeping(&double, double.api.admin_token()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    double.api.start_again().await;
    eventually("it to be ready", || health.is_ready()).await;
}
