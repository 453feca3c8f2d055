//! The commands on a cluster: an API server in this process, and a kubeconfig.

use a8_apiserver::{ApiServer, Options};
use serde_json::{Value, json};

use super::{Ran, a8ctl_with};

const NAMESPACE: &str = "shop";
const RULES: &str = "routingrules.amalgam8.io";

struct Cluster {
    api: ApiServer,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// One without anything but the namespace.
    async fn bare() -> Self {
        let api = ApiServer::start(Options::default()).await;
        api.apply_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
            .await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("admin"), api.admin_kubeconfig()).unwrap();
        std::fs::write(folder.path().join("nobody"), api.kubeconfig("nobody")).unwrap();
        Self { api, folder }
    }

    async fn start() -> Self {
        let cluster = Self::bare().await;
        let crd = include_str!("../../../../kubernetes/crd.yaml");
        cluster.api.apply_yaml(crd).await;
        cluster
    }

    async fn run_as(&self, user: &str, line: &str, input: &'static str) -> Ran {
        let file = self.folder.path().join(user);
        let place = format!("--kubeconfig {} -n {NAMESPACE}", file.display());
        a8ctl_with(&format!("{place} {line}"), input, false).await
    }

    async fn a8ctl(&self, line: &str, input: &'static str) -> Ran {
        self.run_as("admin", line, input).await
    }

    /// The result of a command that must succeed.
    async fn output(&self, line: &str, input: &'static str) -> String {
        let ran = self.a8ctl(line, input).await;
        ran.result.unwrap();
        ran.output
    }

    /// The words of one that must not.
    async fn error(&self, line: &str, input: &'static str) -> String {
        self.a8ctl(line, input)
            .await
            .result
            .unwrap_err()
            .to_string()
    }

    fn rule(&self, name: &str) -> Option<Value> {
        self.api.get(RULES, NAMESPACE, name)
    }

    /// A pod of `service` that takes requests.
    fn pod(&self, service: &str, version: &str, address: &str) {
        let name = format!("{service}-{version}");
        self.api.put_unchecked(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "uid": name,
                "labels": {"app": service, "version": version, "pod-template-hash": address}},
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        }));
        self.api.put_unchecked(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
            "endpoints": [{
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "name": name, "namespace": NAMESPACE, "uid": name},
            }],
        }));
    }
}

/// Those of the recorded session.
const SESSION: &str = r#"
- {id: j, priority: 2, destination: reviews, match: {headers: {Cookie: "^(.*?;)?(user=jason)(;.*)?$"}}, route: {backends: [{tags: [version=v2]}]}}
- {id: d, priority: 1, destination: reviews, route: {backends: [{tags: [version=v1]}]}}
- {id: h, priority: 1, destination: hello, route: {backends: [{tags: [version=v2], weight: 0.25}, {tags: [version=v1]}]}}
- {id: f, priority: 10, destination: ratings, match: {source: {name: reviews, tags: [version=v2]}, headers: {Cookie: user=jason}}, actions: [{action: delay, duration: 7, probability: 1, tags: [version=v1]}, {action: abort, return_code: 503, probability: 0.5}]}
"#;

#[tokio::test]
async fn the_tables_are_those_of_a_controller() {
    let cluster = Cluster::start().await;
    let created = cluster.output("rule-create", SESSION).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!(created, json!({"ids": ["j", "d", "h", "f"]}));
    assert_eq!(
        cluster.output("route-list", "").await,
        r#"+---------+-----------------+---------------------------------------------------------+
| Service | Default Version | Version Selectors                                       |
+---------+-----------------+---------------------------------------------------------+
| hello   | version=v1      | version=v2(weight=0.25)                                 |
| reviews | version=v1      | version=v2(header="Cookie:^(.*?;)?(user=jason)(;.*)?$") |
+---------+-----------------+---------------------------------------------------------+
"#
    );
    assert_eq!(
        cluster.output("action-list", "").await,
        r#"+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
| Destination | Source             | Headers           | Priority | Actions                                  | Rule ID |
+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
| ratings     | reviews:version=v2 | Cookie:user=jason | 10       | version=v1(1->delay=7), (0.5->abort=503) | f       |
+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
"#
    );
    let got = cluster.output("rule-get -d reviews -o json", "").await;
    let got: Value = serde_json::from_str(&got).unwrap();
    assert_eq!(got["rules"][0]["id"], "d");
    assert_eq!(got["rules"][1]["id"], "j");
    // What was got can be sent again, and changes nothing then.
    let before = cluster.rule("j");
    cluster.output("rule-create", SESSION).await;
    assert_eq!(cluster.rule("j"), before);
    assert_eq!(
        cluster.output("rule-delete -d reviews", "").await,
        "Request Completed\n"
    );
    assert!(cluster.rule("j").is_none() && cluster.rule("h").is_some());
    cluster.output("rule-delete -a -f", "").await;
    assert!(cluster.api.list(RULES, NAMESPACE).is_empty());
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let cluster = Cluster::bare().await;
    let absent = cluster.error("rule-get -a", "").await;
    assert!(absent.contains("a8ctl install"), "{absent}");
    let crd = include_str!("../../../../kubernetes/crd.yaml");
    cluster.api.apply_yaml(crd).await;
    let rules = "- {id: A_b, destination: x, route: {backends: [{tags: [v1]}]}}";
    let name = cluster.error("rule-create", rules).await;
    assert!(name.contains("rules[0].id: must be a name"), "{name}");
    let typo = cluster.error("rule-create", "{id: a, destinaton: x}").await;
    assert!(
        typo.contains("rules[0].destinaton: unknown member"),
        "{typo}"
    );
    let gone = cluster.error("rule-get -i gone", "").await;
    assert_eq!(gone, "there is no rule with the id gone");
    let gone = cluster
        .error(
            "rule-update",
            "{id: gone, destination: x, route: {backends: [{tags: [a]}]}}",
        )
        .await;
    assert_eq!(gone, "there is no rule with the id gone");
    for (line, input, lacks) in [
        (
            "rule-get -a",
            "",
            "list routingrules in API group amalgam8.io in the namespace shop",
        ),
        (
            "rule-create",
            "{id: a, destination: x, route: {backends: [{tags: [a]}]}}",
            "list routingrules",
        ),
        ("service-list", "", "list"),
    ] {
        let refused = cluster.run_as("nobody", line, input).await;
        let refused = refused.result.unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("you may not {lacks}")),
            "{refused}"
        );
    }
    let none = a8ctl_with("--kubeconfig /nowhere/at-all rule-get -a", "", false).await;
    let none = none.result.unwrap_err().to_string();
    assert!(
        none.contains("/nowhere/at-all") && !none.contains('\n'),
        "{none}"
    );
    let strange = cluster.a8ctl("--context nowhere rule-get -a", "").await;
    let strange = strange.result.unwrap_err().to_string();
    assert!(strange.contains("nowhere"), "{strange}");
    cluster.api.stop().await;
    let away = cluster.error("rule-get -a", "").await;
    assert!(away.contains("no answer from the cluster"), "{away}");
}

#[tokio::test]
async fn several_rules_are_written_all_or_none() {
    let cluster = Cluster::start().await;
    let spec = json!({"destination": "x", "route": {"backends": [{"tags": ["old"]}]}});
    cluster.api.put(
        json!({"apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {"name": "b", "namespace": NAMESPACE, "labels": {"mine": "x"}}, "spec": spec}),
    );
    let rules = "[{id: a, destination: x, route: {backends: [{tags: [new]}]}},
        {id: b, destination: x, route: {backends: [{tags: [new]}]}},
        {id: c, destination: x, route: {backends: [{tags: [new]}]}}]";
    // One of them fails after all were tried out.
    cluster.api.fail(1, 403, |asked| {
        asked.is("create", "routingrules") && !asked.query.contains("dryRun")
    });
    cluster.error("rule-create", rules).await;
    let names: Vec<Value> = cluster.api.list(RULES, NAMESPACE);
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(names[0]["spec"]["route"]["backends"][0]["tags"][0], "old");
    // And nobody is told of anything when the trial fails.
    let generation = names[0]["metadata"]["generation"].clone();
    cluster.api.fail(1, 403, |asked| {
        asked.is("create", "routingrules") && asked.query.contains("dryRun")
    });
    cluster.error("rule-create", rules).await;
    assert_eq!(
        cluster.rule("b").unwrap()["metadata"]["generation"],
        generation
    );
    // A dry run changes nothing.
    let tried = cluster.output("rule-create --dry-run", rules).await;
    assert!(tried.contains("\"new\""), "{tried}");
    assert!(cluster.rule("a").is_none());
    cluster.output("rule-create", rules).await;
    assert!(cluster.rule("a").is_some() && cluster.rule("c").is_some());
    // What others keep with a rule stays.
    assert_eq!(
        cluster.rule("b").unwrap()["metadata"]["labels"]["mine"],
        "x"
    );
    assert_eq!(
        cluster.rule("b").unwrap()["spec"]["route"]["backends"][0]["tags"][0],
        "new"
    );
}

#[tokio::test]
async fn a_write_may_build_on_a_revision() {
    let cluster = Cluster::start().await;
    let rule = "{id: a, destination: x, route: {backends: [{tags: [one]}]}}";
    cluster.output("rule-create", rule).await;
    let got = cluster.output("rule-get -a -o json", "").await;
    let got: Value = serde_json::from_str(&got).unwrap();
    let revision = got["revision"].as_u64().unwrap();
    // Of what else goes on in the cluster it is independent.
    cluster.pod("web", "v1", "10.0.0.1");
    let line = format!("rule-update --if-revision {revision}");
    let next = "{id: a, destination: x, route: {backends: [{tags: [two]}]}}";
    cluster.output(&line, next).await;
    let moved = cluster.error(&line, rule).await;
    assert!(moved.contains("have changed since"), "{moved}");
    cluster.api.compact();
    let old = cluster.error(&line, rule).await;
    assert!(old.contains("no longer knows"), "{old}");
}

#[tokio::test]
async fn instances_are_the_pods() {
    let cluster = Cluster::start().await;
    cluster.pod("reviews", "v1", "10.0.0.1");
    cluster.pod("reviews", "v2", "10.0.0.2");
    assert_eq!(
        cluster.output("service-list", "").await,
        r#"+---------+------------------------------------------------------+
| Service | Instances                                            |
+---------+------------------------------------------------------+
| reviews | app=reviews,version=v1(1), app=reviews,version=v2(1) |
+---------+------------------------------------------------------+
"#
    );
    let rule = "{id: r, destination: reviews, match: {headers: {X: why}}, route: {backends: [{tags: [version=v2]}]}}";
    cluster.output("rule-create", rule).await;
    let there = cluster.output("explain reviews -H X:why -o json", "").await;
    let there: Value = serde_json::from_str(&there).unwrap();
    assert_eq!(there["rule"], "r");
    assert_eq!(there["instances"], json!(["10.0.0.2:80"]));
    let table = cluster
        .output("explain -p /reviews/1 --from web:v1", "")
        .await;
    assert!(
        table.contains("From:     web:v1\nTo:       reviews\nRule:     none"),
        "{table}"
    );
    assert!(table.contains("10.0.0.1:80, 10.0.0.2:80"), "{table}");
    let nobody = cluster.output("explain nobody", "").await;
    assert!(nobody.contains("no instance is known"), "{nobody}");
    let bad = cluster.error("explain reviews -H X", "").await;
    assert!(bad.contains("Name:value"), "{bad}");
    // The rules come out as they went in; the pods stay where they are.
    let exported = cluster.output("export", "").await;
    assert!(
        exported.contains("10.0.0.1") && exported.contains("id: r"),
        "{exported}"
    );
    cluster.output("rule-delete -a -f", "").await;
    let file = cluster.folder.path().join("export.yaml");
    std::fs::write(&file, exported).unwrap();
    let refused = cluster
        .error(&format!("import -f {}", file.display()), "")
        .await;
    assert!(refused.contains("--only rules"), "{refused}");
    cluster
        .output(&format!("import --only rules -f {}", file.display()), "")
        .await;
    assert!(cluster.rule("r").is_some());
}

#[tokio::test]
async fn what_is_no_valid_rule_is_told_of_and_can_be_deleted() {
    let cluster = Cluster::start().await;
    cluster.api.put_unchecked(
        json!({"apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
        "metadata": {"name": "broken", "namespace": NAMESPACE},
        "spec": {"destination": "x", "match": {"headers": {"A": "(["}},
            "route": {"backends": [{"tags": ["v1"]}]}}}),
    );
    let got = cluster.a8ctl("rule-get -a", "").await;
    assert!(got.output.contains("rules: []"), "{}", got.output);
    assert!(
        got.notes.contains("broken: spec.match.headers"),
        "{}",
        got.notes
    );
    cluster.output("rule-delete -i broken", "").await;
    assert!(cluster.rule("broken").is_none());
}

/// Check and result of every finding.
fn graded(output: &str) -> Vec<(String, String)> {
    let findings: Vec<Value> = serde_json::from_str(output).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = findings.iter();
    findings
        .map(|f| (text(&f["check"]), text(&f["result"])))
        .collect()
}

fn grade(output: &str, check: &str) -> String {
    let all = graded(output);
    let found = all.iter().find(|(name, _)| name == check);
    found
        .unwrap_or_else(|| panic!("{check} of {all:?}"))
        .1
        .clone()
}

#[tokio::test]
async fn what_is_installed_passes_the_check() {
    let cluster = Cluster::bare().await;
    let bare = cluster.a8ctl("check -o json", "").await;
    assert!(bare.result.is_err());
    assert_eq!(grade(&bare.output, "definition"), "FAIL");
    assert_eq!(grade(&bare.output, "sidecar's account"), "WARN");
    let crd = cluster.output("install --crd-only --apply", "").await;
    assert_eq!(
        crd,
        "CustomResourceDefinition routingrules.amalgam8.io: installed\n"
    );
    // There is nobody to run anything; everything else is there.
    let never = cluster.error("install --apply --timeout 0", "").await;
    assert!(
        never.contains("Deployment controller 0 of 2 pods are available"),
        "{never}"
    );
    assert!(cluster.api.get("services", NAMESPACE, "gateway").is_some());
    let waiting = cluster.a8ctl("check -o json", "").await;
    assert!(
        waiting
            .result
            .unwrap_err()
            .to_string()
            .contains("3 of the checks failed")
    );
    for name in ["controller", "registry", "gateway"] {
        let mut deployment = cluster
            .api
            .get("deployments.apps", NAMESPACE, name)
            .unwrap();
        let (all, seen) = (
            &deployment["spec"]["replicas"],
            &deployment["metadata"]["generation"],
        );
        deployment["status"] = json!({"observedGeneration": seen, "replicas": all,
            "updatedReplicas": all, "readyReplicas": all, "availableReplicas": all});
        cluster.api.put(deployment);
    }
    let again = cluster.output("install --apply --timeout 0", "").await;
    assert!(
        again.ends_with("Deployment gateway: rolled out\n"),
        "{again}"
    );
    let checked = cluster.output("check -o json", "").await;
    assert!(
        graded(&checked).iter().all(|(_, result)| result == "OK"),
        "{checked}"
    );
    let rule = "{id: r, destination: reviews, route: {backends: [{tags: [version=v2]}]}}";
    cluster.output("rule-create", rule).await;
    let checked = cluster.output("check", "").await;
    assert!(
        checked.contains("r: no instance of reviews carries version=v2"),
        "{checked}"
    );
    cluster.api.delete(
        "rolebindings.rbac.authorization.k8s.io",
        NAMESPACE,
        "a8-sidecar",
    );
    let lacking = cluster.a8ctl("check", "").await;
    assert!(lacking.result.is_err());
    assert!(
        lacking
            .output
            .contains("a8-sidecar may not list routingrules"),
        "{}",
        lacking.output
    );
}

#[tokio::test]
async fn who_may_little_is_told_so() {
    let cluster = Cluster::start().await;
    let checked = cluster.run_as("nobody", "check -o json", "").await;
    assert!(checked.result.is_err());
    assert_eq!(grade(&checked.output, "permissions"), "FAIL");
    assert_eq!(grade(&checked.output, "definition"), "WARN");
}

#[tokio::test]
async fn a_cluster_takes_what_install_prints() {
    let cluster = Cluster::bare().await;
    let line = "install --image-prefix registry.example.com/a8 --tag 2.0 --cluster-ip";
    let printed = cluster.output(line, "").await;
    cluster.api.apply_yaml(&printed).await;
    let gateway = cluster
        .api
        .get("deployments.apps", NAMESPACE, "gateway")
        .unwrap();
    assert_eq!(
        gateway["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/a8/a8-sidecar:2.0"
    );
    let admin = cluster.folder.path().join("admin");
    let line = format!(
        "--kubeconfig {} -n nowhere install --apply",
        admin.display()
    );
    let missing = a8ctl_with(&line, "", false);
    let missing = missing.await.result.unwrap_err().to_string();
    assert!(
        missing.contains("kubectl create namespace nowhere"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_cluster_takes_what_inject_prints() {
    let cluster = Cluster::start().await;
    cluster
        .api
        .apply_yaml(&cluster.output("install", "").await)
        .await;
    let app = include_str!("../../../../examples/k8s-helloworld.yaml");
    let injected = cluster.output("inject", app).await;
    let again = a8ctl_with(
        "inject",
        Box::leak(injected.clone().into_boxed_str()),
        false,
    )
    .await;
    assert_eq!(again.output, injected);
    cluster.api.apply_yaml(&injected).await;
    let deployment = cluster
        .api
        .get("deployments.apps", "default", "helloworld-v1")
        .unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
}
