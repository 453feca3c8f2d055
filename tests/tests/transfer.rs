//! `a8ctl export` and `a8ctl import`: from one store to another.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::path::Path;
use std::process::Command;

use a8_tests::process::binary;
use a8_tests::server::Server;
use serde_json::{Value, json};

/// Runs a8ctl, which must succeed; what it printed.
fn a8ctl(registry: &Server, controller: &Server, args: &[&str]) -> String {
    let mut command = Command::new(binary("a8ctl"));
    let servers = [
        ("A8_REGISTRY_URL", &registry.url),
        ("A8_CONTROLLER_URL", &controller.url),
    ];
    let run = command
        .args(args)
        .env_clear()
        .envs(servers)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{args:?}: {errors}");
    String::from_utf8(run.stdout).unwrap()
}

async fn contents(registry: &Server, controller: &Server) -> (Value, Vec<Value>) {
    let rules = controller.get("/v1/rules").await.expect(200).json()["rules"].clone();
    let list = registry
        .get("/api/v1/instances?status=ALL")
        .await
        .expect(200)
        .json();
    let mut instances = list["instances"].as_array().unwrap().clone();
    for instance in &mut instances {
        instance.as_object_mut().unwrap().remove("last_heartbeat");
    }
    (rules, instances)
}

#[tokio::test]
async fn what_was_exported_is_there_after_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, controller) = (Server::registry(&[]).await, Server::controller(&[]).await);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for file in [
        "bookinfo-jason-7s-delay.yaml",
        "helloworld-v1-v2-route-rules.json",
    ] {
        let file = examples.join(file).display().to_string();
        a8ctl(&registry, &controller, &["rule-create", "-f", &file]);
    }
    for (n, status) in ["UP", "OUT_OF_SERVICE", "warming"].iter().enumerate() {
        let instance = json!({"service_name": "s", "status": status, "ttl": 60, "tags": ["v1", "a=b"],
            "endpoint": {"type": "tcp", "value": format!("h{n}:80")}, "metadata": {"n": n}});
        registry
            .post("/api/v1/instances", &instance)
            .await
            .expect(201);
    }
    let before = contents(&registry, &controller).await;

    let data = |name: &str| format!("--data_dir={}", folder.path().join(name).display());
    let (there, book) = (data("registry"), data("controller"));
    let other_registry = Server::registry(&["--store=embedded", &there]).await;
    let other = Server::controller(&["--database_type=embedded", &book]).await;
    for format in ["yaml", "json"] {
        let exported = a8ctl(&registry, &controller, &["export", "-o", format]);
        let file = folder.path().join(format!("export.{format}"));
        std::fs::write(&file, exported).unwrap();
        let file = file.display().to_string();
        let said = a8ctl(
            &other_registry,
            &other,
            &["import", "-f", &file, "--dry-run"],
        );
        assert!(said.contains("nothing was changed"), "{said}");
        if format == "yaml" {
            assert_eq!(
                contents(&other_registry, &other).await.1,
                Vec::<Value>::new()
            );
        }
        // The second time it finds all there already.
        a8ctl(&other_registry, &other, &["import", "-f", &file]);
        assert_eq!(contents(&other_registry, &other).await, before);
    }
}
