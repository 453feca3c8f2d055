//! The images, and the files for Compose, on a Docker engine: the demos as they are documented, and
//! the walk while containers fail. Where there is no engine nothing of this is tested, which is
//! said. How small and quick images of release builds are is for `make check.images`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod engine;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use a8_tests::process::Process;
use a8_tests::{server, wait};
use serde_json::Value;

use engine::{Engine, Project, docker, run};

/// What a URL answers, if it is good.
async fn get(url: &str) -> Result<String, String> {
    let call = server::client()
        .get(url)
        .header("Accept", "application/json");
    let answer = call.timeout(Duration::from_secs(20)).send().await;
    let answer = answer.map_err(|e| e.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|e| e.to_string())?;
    match status.is_success() {
        true => Ok(text),
        false => Err(format!("{status} {text}")),
    }
}

#[tokio::test]
async fn every_image_runs_without_rights() {
    let Some(engine) = Engine::get() else { return };
    for image in engine.images() {
        let name = format!("a8-test-{}-{image}", std::process::id());
        let container = Container(&name);
        let mut start = Command::new("docker");
        start.args(["run", "--detach", "--name", &name, "--network", "none"]);
        start.args(["--read-only", "--cap-drop", "ALL", "--user", "65534"]);
        // No server is there. A sidecar lives nevertheless.
        for (name, value) in [
            ("A8_REGISTRY_URL", "http://registry:8080"),
            ("A8_CONTROLLER_URL", "http://controller:8080"),
            ("A8_PROXY", "true"),
            ("A8_START_TIMEOUT", "0s"),
            ("A8_DEREGISTER_GRACE", "0s"),
        ] {
            start.args(["--env", &format!("{name}={value}")]);
        }
        run(start.arg(engine.name(image)));
        wait::until(&format!("{image} to be healthy"), || async {
            container.asked(&[])
        })
        .await;
        let elsewhere = container.asked(&["A8_API_PORT=1", "A8_ADMIN_PORT=1", "PORT=1"]);
        assert!(
            elsewhere.is_err_and(|said| said.contains("refused")),
            "{image}"
        );
        docker(&["stop", "--time", "60", &name]);
        let code = docker(&["inspect", "--format", "{{.State.ExitCode}}", &name]);
        assert_eq!(code.trim(), "0", "{image}");
    }
}

/// A container by its name.
struct Container<'a>(&'a str);

impl Container<'_> {
    /// What the check of its image says, with these variables besides.
    fn asked(&self, variables: &[&str]) -> Result<(), String> {
        let mut ask = Command::new("docker");
        ask.arg("exec");
        for variable in variables {
            ask.args(["--env", variable]);
        }
        let output = ask.args([self.0, "/program", "--check_health"]).output();
        let output = output.map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let mut remove = Command::new("docker");
        let _ = remove.args(["rm", "--force", "--volumes", self.0]).output();
    }
}

/// Both files of one command, and a service in several containers.
#[tokio::test]
async fn a_service_is_scaled() {
    let Some(engine) = Engine::get() else { return };
    let files = ["docker-controlplane", "docker-helloworld"];
    let project = Project::new(&engine, "hello", &files);
    project.compose(&files, &["up", "-d", "--scale", "helloworld-v1=3"]);
    run(project
        .a8ctl()
        .args(["rule-create", "-f"])
        .arg(engine::workspace().join("examples/helloworld-default-route-rules.json")));
    // Each answers under the name of its own container, by an address of its own.
    let url = format!("{}/helloworld/hello", project.gateway());
    let seen = RefCell::new(BTreeSet::new());
    wait::until("three instances of v1 to answer", || async {
        let answer = get(&url).await?;
        let mut seen = seen.borrow_mut();
        // Others do until the rule is known.
        if answer.starts_with("Hello version: v1,") {
            seen.insert(answer);
        }
        match seen.len() {
            3 => Ok(()),
            _ => Err(format!("{seen:?}")),
        }
    })
    .await;
    project.compose(&files, &["down", "-v"]);
}

#[tokio::test]
async fn the_walk_passes_while_containers_fail() {
    let Some(engine) = Engine::get() else { return };
    let (control, demo) = ("docker-controlplane", "docker-bookinfo");
    let project = Project::new(&engine, "book", &[control, demo]);
    // One after the other, as an operator does.
    project.compose(&[control], &["up", "-d"]);
    project.compose(&[demo], &["up", "-d", "--scale", "reviews-v1=2"]);

    // What is there before is there afterwards.
    let rule = "examples/helloworld-half-route-rules.yaml";
    run(project
        .a8ctl()
        .args(["rule-create", "-f"])
        .arg(engine::workspace().join(rule)));
    let rules = || {
        let text = run(project.a8ctl().args(["rule-get", "--all", "-o", "json"]));
        let all: Value = serde_json::from_str(&text).unwrap();
        all["rules"].clone()
    };
    let before = rules();

    let mut walk = Process::spawn("walk.sh", project.walk());
    wait::until("the walk to begin", || async {
        let told = walk.stdout();
        match told.contains("The walk") {
            true => Ok(()),
            false => Err(told),
        }
    })
    .await;
    let container = |service| project.container(service);
    let network = project.network();
    for service in ["reviews-v1", "ratings-v1", "details-v1", "reviews-v2"] {
        let id = container(service);
        docker(&["kill", &id]);
        pause().await;
        docker(&["start", &id]);
    }
    for service in ["registry", "controller", "reviews-v3", "productpage-v1"] {
        let id = container(service);
        docker(&["pause", &id]);
        pause().await;
        docker(&["unpause", &id]);
    }
    for service in ["reviews-v1", "ratings-v1"] {
        let id = container(service);
        docker(&["network", "disconnect", &network, &id]);
        pause().await;
        docker(&["network", "connect", &network, &id]);
    }
    for service in ["controller", "registry", "gateway"] {
        docker(&["restart", &container(service)]);
    }
    let ended = walk.exit_in_its_time().await;
    let told = format!("{}\n{}", walk.stdout(), walk.stderr());
    assert!(ended.success(), "{told}");
    assert!(told.contains("7 of 7 steps as documented"), "{told}");
    assert_eq!(rules(), before);

    // The demo goes on without its control plane. Who is started anew meanwhile knows what it knew.
    let registry = container("registry");
    docker(&["pause", &registry]);
    docker(&["kill", &container("controller")]);
    let url = format!("{}/productpage/productpage", project.gateway());
    let whole = async || match get(&url).await? {
        page if page.contains("\"reviews\":{") && page.contains("\"details\":{") => Ok(()),
        page => Err(page),
    };
    for _ in 0..20 {
        // On a busy machine one part or the other may be late.
        wait::until("the page to be whole", &whole).await;
    }
    docker(&["restart", &container("gateway")]);
    wait::until("the page to be whole", &whole).await;
    docker(&["unpause", &registry]);
}

/// A while for which something is away.
async fn pause() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

#[tokio::test]
async fn rules_change_while_halves_of_the_control_plane_are_away() {
    let Some(engine) = Engine::get() else { return };
    let files = ["docker-controlplane-etcd", "docker-helloworld"];
    let project = Project::new(&engine, "etcd", &files).over_etcd();
    project.compose(&files, &["up", "-d"]);
    let url = format!("{}/helloworld/hello", project.gateway());
    let answers = async |version: &str| {
        let wanted = format!("Hello version: {version},");
        wait::until(&wanted, || async {
            for _ in 0..10 {
                let answer = get(&url).await?;
                if !answer.starts_with(&wanted) {
                    return Err(answer);
                }
            }
            Ok(())
        })
        .await;
    };
    let file = engine::workspace().join("examples/helloworld-default-route-rules.json");
    run(project.a8ctl().args(["rule-create", "-f"]).arg(&file));
    answers("v1").await;
    for service in ["etcd-2", "registry-2", "controller-2"] {
        docker(&["kill", &project.container(service)]);
    }
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("version=v1", "version=v2");
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&other, text).unwrap();
    wait::until("the rule to be replaced", || async {
        let mut update = project.a8ctl();
        update.args(["rule-update", "-f"]).arg(other.path());
        let output = update.output().map_err(|e| e.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    })
    .await;
    answers("v2").await;
}
