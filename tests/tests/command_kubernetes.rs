//! a8ctl on a cluster: it says there what it says with servers, and what a sidecar says.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Output;

use a8_tests::kubernetes::{Cluster, answered_by, to};
use a8_tests::process::binary;
use a8_tests::server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// Where a8ctl is told to work.
struct Desk {
    env: Vec<(&'static str, String)>,
    /// Holds the kubeconfig.
    _folder: TempDir,
}

impl Desk {
    fn with(env: &[(&'static str, &str)]) -> Self {
        Self {
            env: env
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    fn cluster(kubeconfig: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, kubeconfig).unwrap();
        let file = file.display().to_string();
        Self {
            env: vec![("KUBECONFIG", file), ("A8_KUBERNETES", "1".to_owned())],
            _folder: folder,
        }
    }

    /// Runs a8ctl.
    async fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary("a8ctl"));
        let command = command.args(args).env_clear();
        command
            .envs(self.env.iter().cloned())
            .output()
            .await
            .unwrap()
    }

    /// Runs a8ctl, which must succeed; what it printed.
    async fn output(&self, args: &[&str]) -> String {
        let run = self.run(args).await;
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{args:?}: {errors}");
        String::from_utf8(run.stdout).unwrap()
    }

    /// Runs a8ctl, which must fail; its exit code and what it complained of.
    async fn failure(&self, args: &[&str]) -> (i32, String) {
        let run = self.run(args).await;
        let errors = String::from_utf8(run.stderr).unwrap();
        assert!(!run.status.success(), "{args:?}");
        (run.status.code().unwrap(), errors)
    }
}

#[tokio::test]
async fn debug_shows_the_talk_without_the_token() {
    let cluster = Cluster::start().await;
    let kubeconfig = cluster.api.admin_kubeconfig();
    let run = Desk::cluster(&kubeconfig)
        .run(&["--debug", "rule-get", "-a"])
        .await;
    let told = String::from_utf8(run.stderr).unwrap();
    for line in ["> GET /apis/", "/routingrules", "< 200"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(kubeconfig.contains(&cluster.api.admin_token()));
    assert!(!told.contains(&cluster.api.admin_token()), "{told}");
}

/// The rule files of the examples.
fn rule_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            let of_rules = name.starts_with("bookinfo-") || name.starts_with("helloworld-");
            of_rules && (name.ends_with(".yaml") || name.ends_with(".json"))
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_cluster_is_answered_as_a_controller_is() {
    let cluster = Cluster::start().await;
    let controller = Server::controller(&[]).await;
    let desks = [
        Desk::with(&[("A8_CONTROLLER_URL", &controller.url)]),
        Desk::cluster(&cluster.api.admin_kubeconfig()),
    ];
    let files = rule_files();
    assert!(files.len() >= 10, "{files:?}");
    let create = |file: &PathBuf| format!("rule-create -f {}", file.display());
    let mut lines: Vec<String> = files.iter().map(create).collect();
    let rest = [
        "rule-get -a -o json",
        "rule-get -d reviews -o yaml",
        "rule-get -i bookinfo-jason-7s-delay",
        "route-list",
        "route-list -o json",
        "route-list -s reviews -s helloworld -o yaml",
        "action-list",
        "action-list -s ratings -o json",
        "rule-delete -f -d helloworld",
        "route-list",
        "export --only rules -o json",
        "rule-delete -a -f",
        "route-list",
    ];
    lines.extend(rest.map(str::to_owned));
    for line in lines {
        let args: Vec<&str> = line.split(' ').collect();
        let [servers, cluster] = [desks[0].output(&args).await, desks[1].output(&args).await];
        // Each counts its changes for itself.
        let same = |text: String| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.contains("revision"));
            lines
                .map(|line| line.trim_end_matches(',').to_owned())
                .collect()
        };
        assert_eq!(same(cluster), same(servers), "{line}");
    }
    for line in [
        "rule-get -i nowhere",
        "rule-delete -f -i nowhere",
        "rule-create -f /nowhere.yaml",
        "rule-get",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let (code, said) = desks[0].failure(&args).await;
        let (there, told) = desks[1].failure(&args).await;
        assert_eq!(there, code, "{line}: {told}");
        let last = |text: &str| text.rsplit(": ").next().unwrap().to_owned();
        // Of wrong usage it says the line that it was given, with what the variables added.
        if code == 1 {
            assert_eq!(last(&told), last(&said), "{line}");
        }
    }
}

#[tokio::test]
async fn it_explains_what_a_sidecar_does() {
    let cluster = Cluster::start().await;
    let _v1 = cluster.pod("reviews", "v1").await;
    let _v2 = cluster.pod("reviews", "v2").await;
    cluster.rule("r", &to("reviews", "v2"));
    let mut late = to("reviews", "v1");
    late["match"] = json!({"headers": {"X": "a.*"}, "source": {"name": "web"}});
    late["priority"] = 3.into();
    cluster.rule("late", &late);
    let delay =
        json!({"destination": "reviews", "actions": [{"action": "delay", "duration": 0.01}]});
    cluster.rule("delay", &delay);
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "reviews", &["v2"]).await;
    let here = Desk::cluster(&cluster.api.admin_kubeconfig());
    let there = Desk::with(&[("A8_SIDECAR_URL", &sidecar.admin)]);
    for question in [
        vec!["reviews"],
        vec!["reviews", "-H", "X:abc"],
        vec!["reviews", "-H", "X:b", "-p", "/x?y=z"],
        vec!["-p", "/reviews/1"],
        vec!["nobody"],
        vec!["reviews", "--tcp"],
    ] {
        let mut args = vec!["explain", "-o", "json", "--from", "web"];
        args.extend(&question);
        let told = [here.output(&args).await, there.output(&args).await];
        let [here, there] = told.map(|text| serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(here, there, "{question:?}");
    }
}

#[tokio::test]
async fn it_checks_the_accounts_of_pods_that_have_a_sidecar() {
    let cluster = Cluster::start().await;
    let pod = |name: &str, account: &str, image: &str| {
        cluster.api.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "serviceAccountName": account,
                "containers": [{"name": "app", "image": "app"}],
                "initContainers": [{"name": "proxy", "image": image, "restartPolicy": "Always"}],
            },
        }));
    };
    for account in ["weak", "other"] {
        cluster
            .api
            .put(json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": "default"}}));
    }
    pod("a", "a8-sidecar", "a8-sidecar:v1");
    pod("b", "weak", "registry.example.org/team/a8-sidecar:v1");
    pod("c", "other", "envoy");
    let desk = Desk::cluster(&cluster.api.admin_kubeconfig());
    let found = desk.run(&["check", "-o", "json"]).await;
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let of_pods = |one: &&Value| one["check"] == "pods' accounts";
    let found: Vec<&Value> = found.as_array().unwrap().iter().filter(of_pods).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0]["found"].as_str().unwrap().starts_with("weak, "));
    let mend = found[0]["mend"].as_str().unwrap();
    assert!(mend.contains("--serviceaccount=default:weak"), "{mend}");
}

#[tokio::test]
async fn without_a_way_to_a_cluster_it_says_so_in_one_line() {
    let desk = Desk::with(&[("A8_KUBERNETES", "true"), ("HOME", "/nowhere")]);
    for line in [
        "rule-get -a",
        "service-list",
        "explain x",
        "check",
        "install --apply",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let (code, said) = desk.failure(&args).await;
        assert_eq!(code, 1);
        assert!(said.starts_with("a8ctl: no way to a cluster"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let found = desk.run(&["check", "-o", "json"]).await;
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found[0]["result"], "FAIL");
    // What needs no cluster goes without one.
    let printed = desk.output(&["install"]).await;
    assert!(printed.contains("namespace: default\n"), "{printed}");
}
