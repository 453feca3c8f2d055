//! A disk that takes nothing more, and then does: what was acknowledged is kept, reads go on, and
//! nobody has to start anything again.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use a8_tests::process::Process;
use a8_tests::server::{Reply, Server};
use a8_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};

async fn ready(server: &Server, status: u16) -> Reply {
    wait::until(&format!("/ready to be {status}"), || async {
        let reply = server.get("/ready").await;
        match reply.status.as_u16() == status {
            true => Ok(reply),
            false => Err(format!("{reply:?}")),
        }
    })
    .await
}

struct Writes {
    list: &'static str,
    members: &'static str,
    path: &'static str,
    body: fn(usize) -> Value,
}

async fn survives(mut server: Server, writes: Writes) {
    let write = |server: &Server, n: usize| {
        let call = server.call(Method::POST, writes.path);
        call.json(&(writes.body)(n)).send()
    };
    let count = async |server: &Server| {
        let list = server.get(writes.list).await.expect(200).json();
        list[writes.members].as_array().unwrap().len()
    };
    write(&server, 1).await.expect(201);
    server.process.bound_files(Some(0));
    let refused = write(&server, 2).await.refused(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let told = ready(&server, 503).await.json();
    assert_eq!(told["status"], "degraded");
    let why = told["waiting"]["store"].as_str().unwrap();
    assert!(why.contains("cannot be written"), "{why}");
    server.get("/health").await.expect(200);
    assert_eq!(
        count(&server).await,
        1,
        "reads go on, and show what is kept"
    );

    server.process.bound_files(None);
    ready(&server, 200).await;
    write(&server, 3).await.expect(201);
    server.restart().await;
    assert_eq!(count(&server).await, 2);
}

#[tokio::test]
async fn a_controller_survives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let args = ["--database_type=embedded", &data];
    let writes = Writes {
        list: "/v1/rules",
        members: "rules",
        path: "/v1/rules",
        body: |n| json!({"id": format!("r{n}"), "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}}),
    };
    survives(Server::sheltered("a8controller", &args).await, writes).await;
}

#[tokio::test]
async fn a_registry_survives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let args = ["--store=embedded", &data];
    let writes = Writes {
        list: "/api/v1/instances",
        members: "instances",
        path: "/api/v1/instances",
        body: |n| json!({"service_name": "s", "endpoint": {"type": "tcp", "value": format!("h:{n}")}, "ttl": 600}),
    };
    survives(Server::sheltered("a8registry", &args).await, writes).await;
}

/// The rest of what a folder may be: each is told by name, and ends the process with 1.
#[tokio::test]
async fn a_folder_that_cannot_be_used_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("file"), "").unwrap();
    std::fs::create_dir(path("damaged")).unwrap();
    std::fs::write(path("damaged/store.redb"), "no store").unwrap();
    let held = format!("--data_dir={}", path("held"));
    let _holder = Server::registry(&["--store=embedded", &held]).await;
    for (binary, store) in [
        ("a8registry", "--store=embedded"),
        ("a8controller", "--database_type=embedded"),
    ] {
        for (name, says) in [
            ("file", "not a directory"),
            ("damaged", "not a usable store"),
            ("held", "in use by process"),
        ] {
            let data = format!("--data_dir={}", path(name));
            let args = [store, &data, "--api_port=0"].map(String::from);
            let mut process = Process::start(binary, &args, &[]);
            assert_eq!(process.exit().await.code(), Some(1), "{name}");
            wait::until("the reason", || async {
                let text = process.stderr();
                match text.contains(says) && text.contains(name) {
                    true => Ok(()),
                    false => Err(text),
                }
            })
            .await;
        }
    }
}
