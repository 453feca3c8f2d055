//! The manifests: what they say is what a cluster takes, and each account may do what its
//! component does and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeSet;
use std::path::Path;

use a8_tests::kubernetes::{Cluster, NAMESPACE, answered_by, to};
use a8_tests::ports;
use a8_tests::process::Process;
use a8_tests::server::client;
use a8_tests::wait;
use serde_json::{Value, json};

/// All files of a folder that begin and end like this, in order.
fn files(folder: &str, begin: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(folder);
    let entries = std::fs::read_dir(&folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<_> = names
        .filter(|name| name.starts_with(begin) && name.ends_with(".yaml"))
        .collect();
    let read = |name: String| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

#[tokio::test]
async fn a_cluster_takes_every_manifest() {
    let cluster = Cluster::start().await;
    let manifests = files("kubernetes", "");
    assert!(manifests.len() >= 4);
    let demos = files("examples", "k8s-");
    assert!(demos.len() >= 2);
    let rules = files("examples/kubernetes", "");
    assert!(rules.len() >= 10);
    for (name, text) in [manifests, demos, rules].concat() {
        println!("{name}");
        // Unknown members, wrong types and what the schemas forbid are refused.
        cluster.api.apply_yaml(&text).await;
    }
}

/// All objects of a kind in the manifests and the demos.
fn all_of(kind: &str) -> Vec<Value> {
    let texts = [files("kubernetes", ""), files("examples", "k8s-")].concat();
    let objects = texts.iter().flat_map(|(name, text)| {
        let all: Vec<Value> =
            serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        all
    });
    objects.filter(|object| object["kind"] == *kind).collect()
}

#[test]
fn every_container_is_bounded_watched_and_may_do_little() {
    let deployments = all_of("Deployment");
    assert!(deployments.len() >= 11);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for list in ["initContainers", "containers"] {
            for container in pod[list].as_array().into_iter().flatten() {
                println!("{} {}", deployment["metadata"]["name"], container["name"]);
                assert_eq!(container["imagePullPolicy"], "IfNotPresent");
                let resources = &container["resources"];
                for bound in [
                    &resources["requests"]["cpu"],
                    &resources["requests"]["memory"],
                    &resources["limits"]["memory"],
                ] {
                    assert!(bound.is_string());
                }
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false);
                assert_eq!(security["readOnlyRootFilesystem"], true);
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
                let beside = list == "initContainers";
                let ready = match beside {
                    true => "startupProbe",
                    false => "readinessProbe",
                };
                assert!(container[ready].is_object());
                // Ours are started again when they hang.
                let ours = !container["image"]
                    .as_str()
                    .unwrap()
                    .starts_with("a8-examples-");
                assert!(!ours || container["livenessProbe"].is_object());
                // Who is called serves on until all callers know of its end.
                let serves_on = &container["lifecycle"]["preStop"]["sleep"]["seconds"];
                assert_eq!(serves_on.is_number(), !beside);
            }
        }
    }
}

#[test]
fn of_several_replicas_of_the_control_plane_one_at_a_time_is_evicted() {
    let budgets = all_of("PodDisruptionBudget");
    for part in ["controller", "registry"] {
        let budget = budgets
            .iter()
            .find(|budget| budget["metadata"]["name"] == part);
        let spec = &budget.unwrap()["spec"];
        assert_eq!(
            *spec,
            json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": part}}})
        );
    }
}

/// What a role allows, as `verb group/resource`.
fn allowed(cluster: &Cluster, role: &str) -> BTreeSet<String> {
    let role = cluster
        .api
        .get("roles.rbac.authorization.k8s.io", NAMESPACE, role)
        .unwrap();
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.insert(format!("{verb} {group}/{resource}"));
                }
            }
        }
    }
    all
}

/// What an account did, and that nothing of it was forbidden.
fn done(cluster: &Cluster, account: &str) -> BTreeSet<String> {
    let user = format!("system:serviceaccount:{NAMESPACE}:{account}");
    let asked = cluster.api.requests().into_iter();
    let asked = asked.filter(|asked| asked.user == user && !asked.resource.is_empty());
    let all = asked.map(|asked| {
        assert!(asked.status < 400, "{asked:?}");
        format!("{} {}/{}", asked.verb, asked.group, asked.resource)
    });
    all.collect()
}

#[tokio::test]
async fn a_sidecar_may_do_what_it_does_and_nothing_else() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let web = cluster.pod("web", "v1").await;
    let token = cluster.api.service_account_token(NAMESPACE, "a8-sidecar");
    let pod = json!({"kubernetes": {"pod_name": web.name}});
    let sidecar = cluster.sidecar_as(&token, pod).await;
    cluster.rule("r", &to("reviews", "v1"));
    answered_by(&sidecar, "reviews", &["v1"]).await;
    assert_eq!(
        done(&cluster, "a8-sidecar"),
        allowed(&cluster, "a8-sidecar")
    );
}

#[tokio::test]
async fn a_registry_may_do_what_it_does_and_nothing_else() {
    let cluster = Cluster::bare().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let token = cluster.api.service_account_token(NAMESPACE, "a8-registry");
    let port = ports::free();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, cluster.api.ca_pem()).unwrap();
    let args = [
        format!("--api_port={port}"),
        format!("--k8s_url={}", cluster.api.url()),
        format!("--k8s_token={token}"),
        format!("--k8s_ca_cert_file={}", ca.display()),
    ];
    let _registry = Process::start("a8registry", &args, &[]);
    let url = format!("http://127.0.0.1:{port}/api/v1/services/reviews");
    let http = client();
    let listed = wait::until("the pod", || async {
        let answer = http.get(&url).send().await.map_err(|e| e.to_string())?;
        let listed: Value = answer.json().await.map_err(|e| e.to_string())?;
        match listed["instances"].as_array().map(Vec::len) {
            Some(1) => Ok(listed),
            _ => Err(listed.to_string()),
        }
    })
    .await;
    assert_eq!(
        listed["instances"][0]["tags"],
        json!(["app=reviews", "version=v1"])
    );
    wait::until("the watches", || async {
        let (done, allowed) = (
            done(&cluster, "a8-registry"),
            allowed(&cluster, "a8-registry"),
        );
        match done == allowed {
            true => Ok(()),
            false => Err(format!("{done:?} of {allowed:?}")),
        }
    })
    .await;
}
