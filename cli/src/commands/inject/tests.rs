use serde_json::Value;

use clap::Parser;

use super::*;
use crate::args::{Args, Command};

fn injected(text: &str) -> (String, Vec<String>) {
    injected_by(text, &sidecar(&[]))
}

#[test]
fn a_block_that_ends_with_the_file_is_what_it_was() {
    for (text, wanted) in [
        ("kind: ConfigMap\ndata:\n  a: |\n    one", "one"),
        ("kind: ConfigMap\ndata:\n  a: |\n    one\n", "one\n"),
        (
            "kind: ConfigMap\ndata:\n  a: >-\n    one\n    two",
            "one two",
        ),
        ("kind: ConfigMap\ndata:\n  a: |\n    one\n# end", "one\n"),
        ("kind: ConfigMap\ndata:\n  a: |+\n    one\n\n", "one\n\n"),
    ] {
        assert_eq!(value(&injected(text).0)["data"]["a"], wanted, "{text:?}");
    }
}

/// As the command with these arguments makes it.
fn sidecar(args: &[&str]) -> Sidecar {
    let command = ["a8ctl", "inject"].iter().chain(args);
    match Args::try_parse_from(command).unwrap().command {
        Command::Inject(asked) => Sidecar::new(&asked),
        other => panic!("{other:?}"),
    }
}

fn injected_by(text: &str, sidecar: &Sidecar) -> (String, Vec<String>) {
    let mut documents = yaml::documents(text).unwrap();
    let mut remarks = Vec::new();
    for document in &mut documents {
        into_document(document, sidecar, &mut remarks).unwrap();
    }
    (yaml::print(&documents), remarks)
}

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

const POD: &str = "metadata: {labels: {app: a}}\nspec:\n  containers:\n  - {name: a, image: a}\n";

/// `POD` below `path` of an object of this kind.
fn object(version: &str, kind: &str, path: &[&str]) -> String {
    let mut text = POD.to_owned();
    for name in path.iter().rev() {
        let inner: String = text.lines().map(|line| format!("  {line}\n")).collect();
        text = format!("{name}:\n{inner}");
    }
    format!("apiVersion: {version}\nkind: {kind}\n{text}")
}

#[test]
fn every_kind_that_makes_pods_gets_one() {
    let template = &["spec", "template"][..];
    let kinds: [(&str, &str, &[&str]); 8] = [
        ("v1", "Pod", &[]),
        ("v1", "ReplicationController", template),
        ("apps/v1", "Deployment", template),
        ("apps/v1", "ReplicaSet", template),
        ("apps/v1", "StatefulSet", template),
        ("apps/v1", "DaemonSet", template),
        ("batch/v1", "Job", template),
        (
            "batch/v1",
            "CronJob",
            &["spec", "jobTemplate", "spec", "template"],
        ),
    ];
    for (version, kind, path) in kinds {
        let (text, remarks) = injected(&object(version, kind, path));
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].contains("its account is a8-sidecar now"));
        let object = value(&text);
        let pod = path.iter().fold(&object, |object, name| &object[*name]);
        let sidecar = &pod["spec"]["initContainers"][0];
        assert_eq!(sidecar["name"], "a8-sidecar", "{text}");
        assert_eq!(sidecar["restartPolicy"], "Always");
        assert_eq!(pod["spec"]["serviceAccountName"], "a8-sidecar");
        assert_eq!(pod["spec"]["containers"][0]["image"], "a");
        // Twice is once.
        assert_eq!(injected(&text), (text, vec![]));
    }
}

#[test]
fn an_older_one_is_replaced_where_it_was() {
    let old = "kind: Pod\nspec:\n  initContainers:\n  - {name: first}\n  - {name: a8-sidecar, image: old}\n  \
               containers:\n  - {name: a}\n  - {name: a8-sidecar, image: older}\n";
    let sidecar = sidecar(&["--image=new:2", "--log-level=debug"]);
    let (text, _) = injected_by(old, &sidecar);
    let spec = &value(&text)["spec"];
    let inits = spec["initContainers"].as_array().unwrap();
    assert_eq!(inits.len(), 2);
    assert_eq!(inits[0]["name"], "first");
    assert_eq!(inits[1]["image"], "new:2");
    let env = inits[1]["env"].as_array().unwrap();
    let level = env
        .iter()
        .find(|one| one["name"] == "A8_LOG_LEVEL")
        .unwrap();
    assert_eq!(level["value"], "debug");
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
}

#[test]
fn settings_are_given_and_kept() {
    let text = object("v1", "Pod", &[]);
    let args = [
        "--env=A8_SERVICE=a:v1",
        "--env=A8_ADMIN_HOST=::",
        "--service-account=own",
    ];
    let (text, remarks) = injected_by(&text, &sidecar(&args));
    assert!(remarks[0].contains("its account is own now"), "{remarks:?}");
    let setting = |text: &str, name: &str| {
        let env = value(text)["spec"]["initContainers"][0]["env"].clone();
        let mut all = env
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["name"] == name);
        let found = all.next().map(|one| one["value"].clone());
        assert!(all.next().is_none());
        found
    };
    assert_eq!(setting(&text, "A8_SERVICE"), Some("a:v1".into()));
    assert_eq!(setting(&text, "A8_ADMIN_HOST"), Some("::".into()));
    // What somebody added stays when a newer one comes.
    let text = text.replace("128Mi", "64Mi");
    let (text, _) = injected_by(&text, &sidecar(&["--image=newer"]));
    assert_eq!(setting(&text, "A8_SERVICE"), Some("a:v1".into()));
    assert!(text.contains("64Mi") && text.contains("newer"), "{text}");
    let wrong = Args::try_parse_from(["a8ctl", "inject", "--env=NONE"]);
    assert!(wrong.unwrap_err().to_string().contains("NAME=VALUE"));
}

#[test]
fn what_does_not_want_one_has_none() {
    let out = "    annotations: {amalgam8.io/inject: \"false\"}\n";
    let of_template = object("apps/v1", "Deployment", &["spec", "template"]).replace(
        "    metadata: {labels: {app: a}}\n",
        &format!("    metadata:\n  {out}"),
    );
    for text in [
        format!("kind: Pod\nmetadata:\n{out}spec: {{containers: [{{name: a}}]}}\n"),
        of_template,
        "kind: Service\nspec: {ports: [{port: 80}]}\n".to_owned(),
        object("batch.example.com/v1", "Job", &["spec", "template"]),
    ] {
        let (result, remarks) = injected(&text);
        assert_eq!(value(&result), value(&text));
        assert!(remarks.is_empty(), "{remarks:?}");
    }
    for (text, why) in [
        (
            "kind: Pod\nspec: {hostNetwork: true, containers: [{name: a}]}\n",
            "network",
        ),
        (
            "kind: Pod\nspec: {containers: [{name: r, ports: [{containerPort: 6379}]}]}\n",
            "6379",
        ),
        (
            "kind: Pod\nspec: {initContainers: [{name: sidecar, image: 'r.example.org:5000/x/a8-sidecar:v1'}], containers: [{name: a}]}\n",
            "its container sidecar is a sidecar that somebody made",
        ),
    ] {
        let (result, remarks) = injected(text);
        assert_eq!(value(&result), value(text));
        assert!(remarks[0].contains(why), "{remarks:?}");
    }
}

#[test]
fn pods_without_a_token_keep_it_from_all_but_the_sidecar() {
    let text = "kind: Pod\nspec:\n  automountServiceAccountToken: no\n  serviceAccountName: own\n  containers: [{name: a}]\n";
    let (result, remarks) = injected(text);
    assert!(remarks[0].contains("--role=a8-sidecar"), "{remarks:?}");
    let spec = &value(&result)["spec"];
    assert_eq!(spec["serviceAccountName"], "own");
    assert_eq!(spec["volumes"][0]["name"], "a8-account");
    assert_eq!(spec["containers"][0].get("volumeMounts"), None);
    let mount = &spec["initContainers"][0]["volumeMounts"][0];
    assert_eq!(mount["name"], "a8-account");
    assert!(
        result.contains("automountServiceAccountToken: no\n"),
        "{result}"
    );
    assert_eq!(injected(&result).0, result);
}

#[test]
fn lists_are_gone_through() {
    let text = format!(
        "kind: List\napiVersion: v1\nitems:\n- kind: Service\n-\n{}",
        POD.lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
            + "  kind: Pod\n"
    );
    let (result, _) = injected(&text);
    let items = &value(&result)["items"];
    assert_eq!(items[0]["kind"], "Service");
    assert_eq!(items[1]["spec"]["initContainers"][0]["name"], "a8-sidecar");
}

#[test]
fn half_a_manifest_is_refused_by_its_name() {
    let mut documents =
        yaml::documents("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\n").unwrap();
    let sidecar = sidecar(&[]);
    let why = into_document(&mut documents[0], &sidecar, &mut Vec::new()).unwrap_err();
    assert!(why.contains("Deployment x"), "{why}");
}
