//! Applications that their sidecar starts and ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::process::{Process, binary};
use a8_tests::{ports, wait};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// The configuration of a command that is a script in `folder`; it says when it is there.
fn command(folder: &Path, script: &str) -> String {
    let lines = format!("cd {}; {script}", folder.display());
    let lines = serde_json::to_string(&lines).unwrap();
    format!("commands:\n- cmd: {lines}\n  on_exit: terminate\n")
}

/// What goes on until there is a signal.
const WAITS: &str = "echo ready > ready; while :; do sleep 0.05; done";

/// Waits until a file says something, and returns that.
async fn said(file: &Path) -> String {
    wait::until(&format!("{}", file.display()), || async {
        match std::fs::read_to_string(file) {
            Ok(text) if !text.is_empty() => Ok(text.trim().to_owned()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn code(mut sidecar: Sidecar) -> Option<i32> {
    sidecar.process.exit().await.code()
}

#[tokio::test]
async fn an_application_that_is_told_to_end_can_still_make_its_last_calls() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    fabric.settled(&[&service.sidecar], 1).await;
    let (folder, proxy) = (tempfile::tempdir().unwrap(), ports::free());
    // A connection of its own, made when the sidecar has long begun to end.
    let call = format!(
        "curl --silent --output /dev/null --write-out %{{http_code}} \
         http://127.0.0.1:{proxy}/helloworld/hello"
    );
    let script = format!("trap '{call} > last; exit 3' TERM; {call} > first; {WAITS}");
    let more = command(folder.path(), &script);
    let sidecar = fabric.sidecar_at(proxy, "app", "v1", &more).await;
    said(&folder.path().join("ready")).await;
    // There was something to route by before it was started.
    assert_eq!(said(&folder.path().join("first")).await, "200");
    sidecar.process.signal(Signal::TERM);
    assert_eq!(said(&folder.path().join("last")).await, "200");
    assert_eq!(code(sidecar).await, Some(3));
    assert!(TcpStream::connect(("127.0.0.1", proxy)).await.is_err());
}

#[tokio::test]
async fn an_application_is_told_by_the_signal_that_came() {
    let fabric = Fabric::start().await;
    for (signal, expected) in [(Signal::INT, 5), (Signal::QUIT, 6), (Signal::TERM, 7)] {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("trap 'exit 5' INT; trap 'exit 6' QUIT; trap 'exit 7' TERM; {WAITS}");
        let more = command(folder.path(), &script);
        let sidecar = fabric.sidecar_at(ports::free(), "app", "v1", &more).await;
        said(&folder.path().join("ready")).await;
        sidecar.process.signal(signal);
        assert_eq!(code(sidecar).await, Some(expected));
    }
}

#[tokio::test]
async fn an_application_is_told_to_end_when_its_calls_are_done() {
    let fabric = Fabric::start().await;
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = json!({
        "service_name": "slow", "ttl": 600,
        "endpoint": {"type": "http", "value": service.local_addr().unwrap().to_string()},
    });
    let registered = fabric.registry.post("/api/v1/instances", &told).await;
    registered.expect(201);
    let (folder, proxy) = (tempfile::tempdir().unwrap(), ports::free());
    let call = format!("curl --silent http://127.0.0.1:{proxy}/slow/ > answer");
    let script = format!("trap 'echo told > told; exit 4' TERM; {call} & {WAITS}");
    let more = command(folder.path(), &script);
    let sidecar = fabric.sidecar_at(proxy, "app", "v1", &more).await;
    let (mut held, _) = service.accept().await.unwrap();
    sidecar.process.signal(Signal::TERM);
    sidecar.process.logged("draining").await;
    // Long enough for one who does not wait.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let file = folder.path().join("told");
    assert!(!file.exists());
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    held.write_all(answer).await.unwrap();
    assert_eq!(said(&file).await, "told");
    assert_eq!(said(&folder.path().join("answer")).await, "done");
    assert_eq!(code(sidecar).await, Some(4));
}

#[tokio::test]
async fn the_sidecar_ends_in_order_with_its_application() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = "while [ ! -e go ]; do sleep 0.02; done; exit 7";
    let more = command(folder.path(), script)
        + "register: true\nendpoint: {host: 127.0.0.1, port: 1, type: http}\n";
    let sidecar = fabric.sidecar_at(ports::free(), "app", "v1", &more).await;
    fabric.settled(&[&sidecar], 1).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(code(sidecar).await, Some(7));
    let left = fabric.registry.get("/api/v1/instances").await;
    assert_eq!(left.expect(200).json()["instances"], json!([]));
}

#[tokio::test]
async fn who_does_not_end_in_time_is_killed() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' TERM; {WAITS}");
    let more = command(folder.path(), &script);
    let own = "worker_threads: 1\n  stop_grace: 100ms\n".to_owned() + &more;
    let sidecar = fabric.caller("app", &own).await;
    said(&folder.path().join("ready")).await;
    sidecar.process.signal(Signal::TERM);
    assert_eq!(code(sidecar).await, Some(137));
}

#[tokio::test]
async fn a_second_signal_ends_the_sidecar_and_its_application_at_once() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let script = format!("trap '' TERM; echo $$ > pid; {WAITS}");
    let more = command(folder.path(), &script);
    let own = "worker_threads: 1\n  stop_grace: 1h\n".to_owned() + &more;
    let sidecar = fabric.caller("app", &own).await;
    said(&folder.path().join("ready")).await;
    let pid = said(&folder.path().join("pid")).await;
    sidecar.process.signal(Signal::TERM);
    sidecar.process.logged("ending the commands").await;
    sidecar.process.signal(Signal::INT);
    assert_eq!(code(sidecar).await, Some(130));
    wait::until("the application to be gone", || async {
        match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        }
    })
    .await;
}

/// The flags of a sidecar that finds no server, and these.
fn without_servers(more: &[&str]) -> Vec<String> {
    let nowhere = format!("http://127.0.0.1:{}", ports::free());
    let servers = ["registry_url", "controller_url"].map(|name| format!("--{name}={nowhere}"));
    let own = [
        "--proxy",
        "--service=app",
        "--http_listener_port=0",
        "--admin_port=0",
    ];
    let words = own.iter().chain(more).map(|word| (*word).to_owned());
    servers.into_iter().chain(words).collect()
}

#[tokio::test]
async fn the_command_after_the_flags_does_not_wait_for_ever_for_something_to_route_by() {
    let args = without_servers(&[
        "--start_timeout=50ms",
        "--",
        "/bin/sh",
        "-c",
        "echo \"$A8_SERVICE-$1\"; kill -USR1 $$",
        "sh",
        "--proxy",
    ]);
    let mut process = Process::start("a8sidecar", &args, &[("A8_SERVICE", "inherited")]);
    assert_eq!(process.exit().await.code(), Some(128 + 10));
    wait::until("what the command said", || async {
        match process.stdout().trim() {
            "inherited---proxy" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    let log = process.stderr();
    assert!(log.contains("nothing to route by yet"), "{log}");
}

#[tokio::test]
async fn who_is_stopped_before_its_command_was_started_has_not_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let ignored = folder.path().join("ignored.yaml");
    std::fs::write(&ignored, "commands: [{cmd: [sleep, '600']}]\n").unwrap();
    let config = format!("--config={}", ignored.display());
    let waits = ["--start_timeout=10m", "--log_format=json"];
    for (last, expected) in [
        (&["--", "/bin/true"][..], 143),
        // Its code would not be that of the sidecar.
        (&[&*config], 0),
    ] {
        let args = without_servers(&[&waits, last].concat());
        let mut process = Process::start("a8sidecar", &args, &[]);
        process.logged("listening").await;
        process.signal(Signal::TERM);
        let code = process.exit().await.code();
        assert_eq!(code, Some(expected), "{}", process.stderr());
    }
}

#[tokio::test]
async fn a_service_is_registered_when_it_was_started() {
    let fabric = Fabric::start().await;
    let nowhere = format!("http://127.0.0.1:{}", ports::free());
    let args = [
        "--proxy=true".to_owned(),
        "--register=true".to_owned(),
        "--service=app".to_owned(),
        "--endpoint_host=127.0.0.1".to_owned(),
        "--endpoint_port=1".to_owned(),
        "--http_listener_port=0".to_owned(),
        "--admin_port=0".to_owned(),
        "--start_timeout=500ms".to_owned(),
        format!("--registry_url={}", fabric.registry.url),
        format!("--controller_url={nowhere}"),
        "--log_format=json".to_owned(),
        "--".to_owned(),
        "/bin/sleep".to_owned(),
        "600".to_owned(),
    ];
    let mut sidecar = Process::start("a8sidecar", &args, &[]);
    sidecar.logged("registered").await;
    let log = sidecar.stderr();
    let at = |message: &str| log.find(message).unwrap_or(log.len());
    assert!(at("a command was started") < at("\"registered\""), "{log}");
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.exit().await.code(), Some(143));
    let left = fabric.registry.get("/api/v1/instances").await;
    assert_eq!(left.expect(200).json()["instances"], json!([]));
}

#[tokio::test]
async fn a_command_that_is_not_there_ends_the_sidecar() {
    let fabric = Fabric::start().await;
    let file = fabric.folder.path().join("sidecar.yaml");
    let (registry, controller) = (&fabric.registry.url, &fabric.controller.url);
    let text = format!(
        "proxy: true\nservice: app\nregistry: {{url: {registry}}}\n\
         controller: {{url: {controller}}}\n\
         proxy_config: {{http_listener_port: 0, admin_port: 0}}\n\
         commands:\n- cmd: [a8-no-such-program]\n  on_exit: terminate\n"
    );
    std::fs::write(&file, text).unwrap();
    let args = [format!("--config={}", file.display())];
    let mut process = Process::start("a8sidecar", &args, &[]);
    assert_eq!(process.exit().await.code(), Some(127));
}

#[tokio::test]
async fn a_command_after_the_flags_has_the_terminal_and_gives_it_back() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    // On a terminal of its own. What follows the sidecar reads from it, too.
    let command = format!(
        "{} --proxy=true --http_listener_port=0 --admin_port=0 --registry_url={} \
         --controller_url={} -- /bin/sh -c 'read line; echo \"got $line\" > first; exit 6'; \
         echo $? > code; read line; echo \"got $line\" > second",
        binary("a8sidecar").display(),
        fabric.registry.url,
        fabric.controller.url
    );
    let mut script = Command::new("script")
        .args(["--quiet", "--command", &command, "/dev/null"])
        .current_dir(&folder)
        .env_clear()
        .env("SHELL", "/bin/sh")
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut typed = script.stdin.take().unwrap();
    typed.write_all(b"one\n").unwrap();
    assert_eq!(said(&folder.path().join("first")).await, "got one");
    assert_eq!(said(&folder.path().join("code")).await, "6");
    typed.write_all(b"two\n").unwrap();
    assert_eq!(said(&folder.path().join("second")).await, "got two");
    let _ = script.kill();
    script.wait().unwrap();
}

#[tokio::test]
async fn the_commands_are_shown() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let more = command(folder.path(), WAITS) + "- cmd: [/bin/sh, -c, 'exit 3']\n";
    let sidecar = fabric.sidecar_at(ports::free(), "app", "v1", &more).await;
    said(&folder.path().join("ready")).await;
    let commands = wait::until("the second to end", || async {
        let told = sidecar.admin("/state").await["commands"].clone();
        match told[1]["state"] == "ended" {
            true => Ok(told),
            false => Err(told.to_string()),
        }
    })
    .await;
    let names = (&commands[0]["name"], &commands[1]["name"]);
    assert_eq!(names, (&json!("sh"), &json!("sh-2")));
    assert_eq!(commands[1]["code"], 3);
    assert_eq!(commands[0]["state"], "running");
    assert!(commands[0]["pid"].as_u64().unwrap() > 1);
    let metrics = a8_tests::server::client().get(format!("{}/metrics", sidecar.admin));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("a8_command_up{command=\"sh\"} 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("a8_command_up{command=\"sh-2\"} 0\n"),
        "{metrics}"
    );
}
