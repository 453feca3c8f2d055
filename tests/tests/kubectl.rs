//! kubectl at work on rules, as a user of the manifests would have it. It speaks with the API
//! server of the test kit; that one is compared with a real one elsewhere.
//!
//! `make test` installs kubectl where the system has a package of it. Elsewhere these tests say
//! that they have nothing to try, and pass.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed step is a failed test"
)]

use std::path::Path;
use std::process::Stdio;

use a8_tests::kubernetes::{Cluster, NAMESPACE, answered_by, told};
use a8_tests::server::Server;
use a8_tests::wait;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const RULES: &str = "routingrules.amalgam8.io";

/// A user's shell.
struct Shell {
    folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
struct Run {
    success: bool,
    output: String,
    errors: String,
}

impl Shell {
    /// One whose kubectl speaks with `cluster`; `None` where there is no kubectl.
    fn of(cluster: &Cluster) -> Option<Self> {
        let mut which = std::process::Command::new("kubectl");
        if which.args(["version", "--client"]).output().is_err() {
            eprintln!("there is no kubectl here, so nothing is tried");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config"), cluster.api.admin_kubeconfig()).unwrap();
        Some(Self { folder })
    }

    /// Runs kubectl in the folder of the project, with `input` on its standard input.
    async fn run(&self, line: &str, input: &str) -> Run {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut command = Command::new("kubectl");
        command
            .args(line.split(' '))
            .current_dir(root)
            .env("KUBECONFIG", self.folder.path().join("config"))
            // Where it keeps what it has found out about a server.
            .env("HOME", self.folder.path())
            .env("KUBE_EDITOR", "sed -i s/version=v1/version=v3/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let run = child.wait_with_output().await.unwrap();
        Run {
            success: run.status.success(),
            output: String::from_utf8(run.stdout).unwrap(),
            errors: String::from_utf8(run.stderr).unwrap(),
        }
    }

    /// Runs a line that must succeed; what it printed.
    async fn output(&self, line: &str) -> String {
        self.output_of(line, "").await
    }

    async fn output_of(&self, line: &str, input: &str) -> String {
        let run = self.run(line, input).await;
        assert!(run.success, "{line}: {run:?}");
        run.output
    }

    /// Runs a line that must fail; what it complained of.
    async fn refusal(&self, line: &str, input: &str) -> String {
        let run = self.run(line, input).await;
        assert!(!run.success, "{line}: {run:?}");
        run.errors
    }
}

/// A rule that sends all of reviews to `version`.
fn rule(name: &str, version: &str) -> String {
    format!(
        "apiVersion: amalgam8.io/v1\nkind: RoutingRule\nmetadata: {{name: {name}}}\n\
         spec: {{destination: reviews, route: {{backends: [{{tags: [version={version}]}}]}}}}\n"
    )
}

#[tokio::test]
async fn all_manifests_are_applied_once_and_then_unchanged() {
    let cluster = Cluster::bare().await;
    let Some(shell) = Shell::of(&cluster) else {
        return;
    };
    // The definition first: nobody knows its rules without it.
    for what in ["kubernetes/crd.yaml", "kubernetes", "examples/kubernetes"] {
        shell.output(&format!("apply -f {what}")).await;
    }
    for demo in ["examples/k8s-bookinfo.yaml", "examples/k8s-helloworld.yaml"] {
        shell.output(&format!("apply -f {demo}")).await;
    }
    // Nor is anything of it another's for who renews it as `a8ctl install --apply` does, which says
    // the same values: the cluster's defaults included where it takes a value as a whole.
    for what in [
        "kubernetes",
        "examples/k8s-bookinfo.yaml",
        "examples/k8s-helloworld.yaml",
    ] {
        let renewing =
            format!("apply --server-side --field-manager=a8ctl --dry-run=server -f {what}");
        shell.output(&renewing).await;
    }
    let again = shell.output("apply -f examples/kubernetes").await;
    // Two files have the same rule, each in its own way.
    let twice = "routingrule.amalgam8.io/helloworld-v1-v2-route-rules";
    let others = again.lines().filter(|line| !line.starts_with(twice));
    let others: Vec<_> = others.collect();
    assert!(others.len() >= 8, "{again}");
    assert!(
        others.iter().all(|line| line.ends_with(" unchanged")),
        "{again}"
    );
    shell
        .output("delete -f examples/kubernetes --ignore-not-found")
        .await;
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 0);
}

#[tokio::test]
async fn rules_are_shown_changed_and_deleted() {
    let cluster = Cluster::start().await;
    let Some(shell) = Shell::of(&cluster) else {
        return;
    };
    let _versions = [
        cluster.pod("reviews", "v1").await,
        cluster.pod("reviews", "v2").await,
        cluster.pod("reviews", "v3").await,
    ];
    let (sidecar, _) = cluster.sidecar("web").await;
    let args = cluster.controller_args();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let _controller = Server::controller(&args).await;

    let made = shell.output_of("apply -f -", &rule("r", "v1")).await;
    assert_eq!(made.trim(), "routingrule.amalgam8.io/r created");
    answered_by(&sidecar, "reviews", &["v1"]).await;
    wait::until("a status", || async {
        let shown = shell.output("get rr").await;
        let (head, row) = shown.trim().split_once('\n').ok_or("no row")?;
        let columns: Vec<_> = head.split_whitespace().collect();
        let named = [
            "NAME",
            "DESTINATION",
            "KIND",
            "PRIORITY",
            "STATE",
            "REASON",
            "AGE",
        ];
        assert_eq!(columns, named);
        match row.split_whitespace().collect::<Vec<_>>()[..] {
            ["r", "reviews", "route", "0", "valid", _, _] => Ok(()),
            _ => Err(row.to_owned()),
        }
    })
    .await;

    let changed = shell.output_of("apply -f -", &rule("r", "v2")).await;
    assert_eq!(changed.trim(), "routingrule.amalgam8.io/r configured");
    answered_by(&sidecar, "reviews", &["v2"]).await;
    let patch = r#"{"spec":{"route":{"backends":[{"tags":["version=v1"]}]}}}"#;
    shell
        .output(&format!("patch rr r --type=merge -p {patch}"))
        .await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    shell.output("edit rr r").await;
    answered_by(&sidecar, "reviews", &["v3"]).await;
    shell.output("label rr r team=books").await;
    shell.output("annotate rr r why=trial").await;
    let listed = shell.output("get rr -l team=books -o json").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        listed["items"][0]["metadata"]["annotations"]["why"],
        "trial"
    );
    let described = shell.output("describe rr r").await;
    assert!(described.contains("version=v3"), "{described}");

    shell.output("delete rr r").await;
    answered_by(&sidecar, "reviews", &["v1", "v2", "v3"]).await;
    shell.output_of("apply -f -", &rule("r", "v1")).await;
    answered_by(&sidecar, "reviews", &["v1"]).await;
    shell.output(&format!("delete crd {RULES}")).await;
    answered_by(&sidecar, "reviews", &["v1", "v2", "v3"]).await;
    told(&sidecar, "rules", false, "the cluster has no RoutingRules").await;
    // kubectl remembers for a while what a server has.
    let unknown = shell.refusal("get rr", "").await;
    let words = [
        "doesn't have a resource type",
        "could not find the requested resource",
    ];
    assert!(words.iter().any(|word| unknown.contains(word)), "{unknown}");
}

#[tokio::test]
async fn what_is_wrong_with_a_rule_is_told_at_once() {
    let cluster = Cluster::start().await;
    let Some(shell) = Shell::of(&cluster) else {
        return;
    };
    let good = rule("r", "v1");
    for (found, written, complaint) in [
        ("tags", "tegs", "tegs"),
        (
            "[version=v1]",
            "[version=v1], weight: 1.5",
            "spec.route.backends[0].weight",
        ),
        ("destination: reviews, ", "", "destination"),
        ("destination: reviews", "destination: 7", "destination"),
        ("RoutingRule", "RutingRule", "RutingRule"),
    ] {
        let bad = good.replacen(found, written, 1);
        assert_ne!(bad, good);
        let refusal = shell.refusal("apply -f -", &bad).await;
        assert!(refusal.contains(complaint), "{bad}: {refusal}");
    }
    assert_eq!(cluster.api.list(RULES, NAMESPACE).len(), 0);
}
