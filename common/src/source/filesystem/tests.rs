use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::source::{self, Feed};
use crate::task::Tasks;

/// Longer than any test takes: the file is read because of a notice, or not at all.
const NEVER: Duration = Duration::from_secs(3600);

fn watched<T: Item>(
    path: PathBuf,
    read: fn(&Document<'_>) -> Result<Vec<T>, FileError>,
    recheck: Duration,
) -> (Feed<T>, Tasks) {
    let tasks = Tasks::default();
    let file = Box::new(File {
        path,
        read,
        recheck,
    });
    (source::start("file", file, &tasks), tasks)
}

async fn holds<T: Item>(feed: &Feed<T>, ids: &[&str]) {
    let wanted: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
    let now = || -> Vec<String> {
        let items = feed.view.snapshot().items.clone();
        items.keys().map(|id| format!("{id:?}")).collect()
    };
    let wait = async {
        while now() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .is_err()
    {
        panic!(
            "{:?} instead of {wanted:?}: {:?}",
            now(),
            feed.link.borrow()
        );
    }
}

async fn problem<T: Item>(feed: &mut Feed<T>, text: &str) {
    let wanted = |link: &Link| link.problem.as_ref().is_some_and(|p| p.contains(text));
    let wait = feed.link.wait_for(wanted);
    if tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .is_err()
    {
        panic!("no {text:?} in {:?}", feed.link.borrow());
    }
}

fn rule(id: &str) -> String {
    format!("rules:\n- {{id: {id}, destination: s, route: {{backends: [{{tags: [v1]}}]}}}}\n")
}

/// As editors do it.
fn rename_over(path: &Path, text: &str) {
    let other = path.with_extension("new");
    fs::write(&other, text).unwrap();
    fs::rename(other, path).unwrap();
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yaml");
    let (mut feed, _tasks) = watched(path.clone(), rules::read, NEVER);
    problem(&mut feed, "rules.yaml: No such file").await;
    assert!(!feed.view.snapshot().is_loaded());

    rename_over(&path, &rule("a"));
    holds(&feed, &["a"]).await;
    fs::write(&path, rule("b")).unwrap();
    holds(&feed, &["b"]).await;

    rename_over(&path, "rules:\n- {id: c, destination: s, rout: {}}\n");
    problem(&mut feed, "rules[0].rout").await;
    holds(&feed, &["b"]).await;
    fs::remove_file(&path).unwrap();
    problem(&mut feed, "No such file").await;
    holds(&feed, &["b"]).await;

    rename_over(&path, &rule("d"));
    holds(&feed, &["d"]).await;
    feed.link
        .wait_for(|link| link.connected && link.problem.is_none())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_config_map_is_followed_when_its_link_is_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, id) in [("..1", "a"), ("..2", "b")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("rules.yaml"), rule(id)).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/rules.yaml", at("rules.yaml")).unwrap();
    let (feed, _tasks) = watched(at("rules.yaml"), rules::read, NEVER);
    holds(&feed, &["a"]).await;
    symlink("..2", at("..data_tmp")).unwrap();
    fs::rename(at("..data_tmp"), at("..data")).unwrap();
    holds(&feed, &["b"]).await;
}

#[tokio::test]
async fn a_change_of_which_there_is_no_notice_is_found_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("folder");
    // The folder is not there yet, and is then exchanged as a whole.
    let recheck = Duration::from_millis(20);
    let (feed, _tasks) = watched(folder.join("rules.yaml"), rules::read, recheck);
    for id in ["a", "b"] {
        let other = dir.path().join(id);
        fs::create_dir(&other).unwrap();
        fs::write(other.join("rules.yaml"), rule(id)).unwrap();
        if folder.exists() {
            fs::rename(&folder, dir.path().join("old")).unwrap();
        }
        fs::rename(other, &folder).unwrap();
        holds(&feed, &[id]).await;
    }
}

fn document(text: &str, json: bool) -> Document<'_> {
    Document { text, json }
}

#[test]
fn rules_without_an_id_have_the_same_one_at_each_reading() {
    let text = "- destination: s\n  route: {backends: [{tags: [v1]}]}\n\
                - destination: s\n  route: {backends: [{tags: [v1]}]}\n\
                - id: own\n  destination: s\n  route: {backends: [{tags: [v1]}]}\n\
                - id: ''\n  destination: t\n  route: {backends: [{tags: [v1]}]}\n";
    let ids = || -> Vec<String> {
        let rules = rules::read(&document(text, false)).unwrap();
        rules.iter().map(|r| r.id().to_string()).collect()
    };
    assert_eq!(ids(), ids());
    assert_eq!(ids()[1], format!("{}-2", ids()[0]));
    assert_eq!(ids()[2], "own");
}

#[test]
fn instances_are_read_as_registrations_and_get_the_registry_s_ids() {
    let json = r#"{"instances": [
        {"service_name": "db", "endpoint": {"type": "http", "value": "db.example"},
         "tags": ["v1", "eu"], "metadata": {"b" : 1}},
        {"service_name": "ext", "endpoint": {"type": "tcp", "value": "192.168.1.2:8080"}, "id": "e1"},
        {"service_name": "ext", "endpoint": {"type": "tcp", "value": "192.168.1.2:8081"},
         "status": "out_of_service"}
    ]}"#;
    let yaml = "instances:\n\
        - {service_name: db, endpoint: {type: http, value: db.example}, tags: [v1, eu], metadata: {b: 1}}\n\
        - {service_name: ext, endpoint: {type: tcp, value: '192.168.1.2:8080'}, id: e1}\n";
    for (text, is_json) in [(json, true), (yaml, false)] {
        let read = instances::read(&document(text, is_json)).unwrap();
        assert_eq!(read.len(), 2);
        let derived = crate::model::InstanceId::derived(&read[0].service_name, &read[0].endpoint);
        assert_eq!(read[0].id, derived);
        assert_eq!(read[0].tags.to_string(), "v1,eu");
        assert_eq!(read[1].id.as_str(), "e1");
        let metadata = read[0].metadata.as_ref().unwrap().as_str();
        assert_eq!(metadata, if is_json { "{\"b\" : 1}" } else { "{\"b\":1}" });
    }
}

#[test]
fn every_fault_of_a_file_of_instances_is_told_with_its_place() {
    let text = "instances:\n\
        - {service_name: a, endpoint: {type: http, value: 'a:0'}}\n\
        - {service_name: a, endpont: {type: http, value: 'a:1'}}\n\
        - {service_name: a, endpoint: {type: http, value: 'a:1'}}\n\
        - {service_name: a, endpoint: {type: http, value: 'a:1'}}\n";
    let error = instances::read(&document(text, false))
        .unwrap_err()
        .to_string();
    for part in [
        "instances[0]: must be",
        "instances[1]: unknown field `endpont`",
        "instances[3] is instances[2] again",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    for (text, json) in [
        ("", false),
        ("[]", true),
        ("instances: 7", false),
        ("{", true),
    ] {
        assert!(instances::read(&document(text, json)).is_err(), "{text}");
    }
}
