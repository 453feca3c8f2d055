//! No room is left on the disk, or nothing may be written to it.

use std::os::unix::fs::PermissionsExt;

use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::process::Process;
use a8_tests::{ports, wait};
use serde_json::json;

fn rule(id: &str) -> serde_json::Value {
    json!([{"id": id, "destination": "helloworld",
        "route": {"backends": [{"tags": ["version=v1"]}]}}])
}

/// Waits until the rule `id` is on disk.
async fn kept(folder: &std::path::Path, id: &str) {
    wait::until(&format!("{id} on disk"), || async {
        let text = std::fs::read_to_string(folder.join("rules.state")).unwrap_or_default();
        text.contains(id).then_some(()).ok_or(text)
    })
    .await;
}

fn warnings(sidecar: &Sidecar) -> usize {
    let said = sidecar.process.stderr();
    let about = said
        .lines()
        .filter(|line| line.contains("cannot be kept on disk"));
    about.filter(|line| line.contains("rules")).count()
}

#[tokio::test]
async fn a_full_disk_costs_the_copy_of_the_state_and_one_warning() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("state");
    let (proxy, admin) = (ports::free(), ports::free());
    let args = fabric.flags(&[
        &format!("--http_listener_port={proxy}"),
        &format!("--admin_port={admin}"),
        &format!("--state_dir={}", folder.display()),
    ]);
    let process = Process::start_sheltered("a8sidecar", &args);
    process.logged("routing").await;
    let sidecar = Sidecar::of(process, proxy, admin);
    fabric.settled(&[&sidecar], 1).await;
    fabric
        .controller
        .post("/v1/rules", &rule("first"))
        .await
        .expect(201);
    kept(&folder, "first").await;

    sidecar.process.bound_files(Some(0));
    for id in ["second", "third", "fourth"] {
        fabric
            .controller
            .post("/v1/rules", &rule(id))
            .await
            .expect(201);
        fabric.in_effect(&[&sidecar], "rules").await;
        // Each is tried to be written by itself.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    wait::until("a warning", || async {
        (warnings(&sidecar) > 0)
            .then_some(())
            .ok_or_else(|| sidecar.process.stderr())
    })
    .await;
    for answer in sidecar.get_many("/helloworld/hello", 50).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    // What was kept last is whole, and nothing half written lies beside it.
    kept(&folder, "first").await;
    assert_eq!(warnings(&sidecar), 1);

    sidecar.process.bound_files(None);
    fabric
        .controller
        .post("/v1/rules", &rule("fifth"))
        .await
        .expect(201);
    kept(&folder, "fifth").await;
    let names = std::fs::read_dir(&folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["instances.state", "rules.state"]);
    drop(service);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_no_reason_not_to_route() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    let state = tempfile::tempdir().unwrap();
    std::fs::write(state.path().join("taken"), "").unwrap();
    std::fs::set_permissions(state.path(), PermissionsExt::from_mode(0o500)).unwrap();
    let own = format!("state_dir: {}/taken/state", state.path().display());
    let sidecar = fabric.caller("{name: web}", &own).await;
    fabric.settled(&[&sidecar], 1).await;
    for answer in sidecar.get_many("/helloworld/hello", 50).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    sidecar
        .process
        .logged("the state cannot be kept on disk")
        .await;
    drop(service);
}

#[tokio::test]
async fn an_access_log_that_cannot_be_written_costs_no_request() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    // Each write to it fails as on a full disk.
    let sidecar = fabric.caller("{name: web}", "access_log: /dev/full").await;
    fabric.settled(&[&sidecar], 1).await;
    for answer in sidecar.get_many("/helloworld/hello", 500).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    sidecar
        .process
        .logged("the access log cannot be written")
        .await;
    let said = sidecar.process.stderr();
    let told = said.matches("the access log cannot be written").count();
    assert_eq!(told, 1, "{said}");
    drop(service);
}
