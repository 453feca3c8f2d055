//! What the control plane does in a second and what it costs: registrations, heartbeats and
//! lists for each store, a change's way to a thousand watchers, memory, and how soon a rule
//! written at one controller is routed by a sidecar that is fed by another.
//!
//! `make bench.control`; runs over the release binaries, and needs wrk and etcd.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a failed step is a failed run"
)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use a8_tests::etcd::Cluster;
use a8_tests::fabric::Fabric;
use a8_tests::server::Server;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

const SECONDS: u64 = 3;
const WATCHERS: usize = 1000;
const MANY: usize = 20_000;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let etcd = Cluster::start().await;
    println!("\nControl plane, {SECONDS} s each, wrk with one thread and 32 connections\n");
    println!("| store | registrations/s | CPU µs each | heartbeats/s | CPU µs each |");
    println!("|---|--:|--:|--:|--:|");
    let address = etcd.addresses();
    let data = format!("--data_dir={}", folder.path().join("registry").display());
    let store = format!("--store_address={address}");
    for (name, args) in [
        ("memory", vec!["--store=memory"]),
        ("embedded", vec!["--store=embedded", &data]),
        ("etcd", vec!["--store=etcd", &store]),
    ] {
        let registry = Server::registry(&args).await;
        let registered = wrk(&registry, &register(&folder)).await;
        let beats = heartbeats(&registry, &folder).await;
        println!(
            "| {name} | {:.0} | {:.1} | {:.0} | {:.1} |",
            registered.rate, registered.cpu, beats.rate, beats.cpu
        );
    }

    println!("\n| with the memory store | requests/s | CPU µs each | RSS MB |");
    println!("|---|--:|--:|--:|");
    let registry = filled(2000).await;
    let listed = wrk(&registry, &Load::Path("/api/v1/instances")).await;
    row("2,000 instances listed", &listed, &registry);
    let registry = filled(10).await;
    let listed = wrk(&registry, &Load::Path("/api/v1/services/s")).await;
    row("one service of 10 listed", &listed, &registry);
    let controller = Server::controller(&[]).await;
    for (what, rule) in [
        (
            "200 rules of one backend listed",
            plain as fn(usize) -> Value,
        ),
        ("200 rules with a match and two backends listed", rule),
    ] {
        let rules: Vec<Value> = (0..200).map(rule).collect();
        controller
            .post("/v1/rules", &json!({ "rules": rules }))
            .await
            .expect(201);
        let listed = wrk(&controller, &Load::Path("/v1/rules")).await;
        row(what, &listed, &controller);
    }

    let registry = filled(MANY).await;
    println!(
        "\n{MANY} instances, memory store: {:.1} MB",
        megabytes(&registry)
    );
    fan_out(&Server::controller(&[]).await).await;
    in_effect(&etcd).await;
}

fn row(what: &str, measured: &Measured, server: &Server) {
    let (rate, cpu) = (measured.rate, measured.cpu);
    println!(
        "| {what} | {rate:.0} | {cpu:.1} | {:.1} |",
        megabytes(server)
    );
}

/// What wrk and the system say of one load.
struct Measured {
    rate: f64,
    /// Of the server for each request, in microseconds.
    cpu: f64,
}

/// What wrk asks for.
enum Load {
    /// The same again and again.
    Path(&'static str),
    /// What the script in this file makes.
    Script(String),
}

async fn wrk(server: &Server, load: &Load) -> Measured {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", "-c32", &format!("-d{SECONDS}s")]);
    match load {
        Load::Path(path) => wrk.arg(format!("{}{path}", server.url)),
        Load::Script(file) => wrk.args(["-s", file, &server.url]),
    };
    let before = server.process.processor_time();
    let run = wrk.output();
    let text = String::from_utf8(run.await.unwrap().stdout).unwrap();
    let used = server.process.processor_time() - before;
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{text}"
    );
    let figure = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
        number.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let rate: f64 = figure("Requests/sec:").parse().unwrap();
    let all = text
        .lines()
        .find(|line| line.contains("requests in"))
        .unwrap();
    let all: f64 = all.split_whitespace().next().unwrap().parse().unwrap();
    Measured {
        rate,
        cpu: used.as_secs_f64() * 1e6 / all,
    }
}

fn script(folder: &TempDir, name: &str, text: &str) -> Load {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    Load::Script(file.display().to_string())
}

/// Another instance each time.
fn register(folder: &TempDir) -> Load {
    let text = r#"
local n = 0
function request()
  n = n + 1
  local body = '{"service_name":"s' .. n % 100 .. '","endpoint":{"type":"http","value":"h' .. n ..
    ':80"},"ttl":600,"tags":["version=v1"]}'
  return wrk.format("POST", "/api/v1/instances", {["Content-Type"] = "application/json"}, body)
end
"#;
    script(folder, "register.lua", text)
}

/// Heartbeats of a thousand instances in turn.
async fn heartbeats(registry: &Server, folder: &TempDir) -> Measured {
    let list = registry
        .get("/api/v1/instances?fields=id")
        .await
        .expect(200)
        .json();
    let ids = list["instances"].as_array().unwrap().iter().take(1000);
    let mut text = "local ids = {".to_owned();
    for instance in ids {
        write!(text, "\"{}\",", instance["id"].as_str().unwrap()).unwrap();
    }
    text.push_str(
        "}\nlocal n = 0\nfunction request()\n  n = n % #ids + 1\n  \
         return wrk.format(\"PUT\", \"/api/v1/instances/\" .. ids[n] .. \"/heartbeat\")\nend\n",
    );
    wrk(registry, &script(folder, "beat.lua", &text)).await
}

/// A registry in memory with so many instances.
async fn filled(count: usize) -> Server {
    let registry = Server::registry(&[]).await;
    for some in (0..count).collect::<Vec<_>>().chunks(50) {
        let register = some.iter().map(|n| {
            let service = if count <= 10 {
                "s".to_owned()
            } else {
                format!("s{}", n % 200)
            };
            let body = json!({"service_name": service, "ttl": 600, "tags": ["version=v1"],
                "endpoint": {"type": "http", "value": format!("10.0.{}.{}:8080", n / 250, n % 250)},
                "metadata": {"zone": "a"}});
            let registry = &registry;
            async move { registry.post("/api/v1/instances", &body).await.expect(201) }
        });
        join_all(register).await;
    }
    registry
}

fn rule(n: usize) -> Value {
    json!({"id": format!("rule-{n}"), "priority": n % 5, "destination": format!("s{}", n % 50),
        "match": {"headers": {"Cookie": format!(".*user=u{n}.*")}},
        "route": {"backends": [{"tags": ["version=v2"], "weight": 0.25}, {"tags": ["version=v1"]}]}})
}

/// As short as a rule can be. The ids are those of [`rule`], so that one set takes the place of
/// the other.
fn plain(n: usize) -> Value {
    json!({"id": format!("rule-{n}"), "destination": format!("s{}", n % 50),
        "route": {"backends": [{"tags": ["version=v1"]}]}})
}

/// From a write to the last of all watchers.
async fn fan_out(controller: &Server) {
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        let mut watch = controller.watch("/v1/rules?watch=true").await;
        watch.event().await;
        watches.push(watch);
    }
    let mut times = Vec::new();
    let before = controller.process.processor_time();
    for n in 0..20 {
        let began = Instant::now();
        controller
            .post("/v1/rules", &json!({"rules": [rule(n)]}))
            .await
            .expect(201);
        join_all(watches.iter_mut().map(|watch| watch.event())).await;
        times.push(began.elapsed());
    }
    let used = controller.process.processor_time() - before;
    times.sort();
    println!(
        "\n{WATCHERS} watchers: a change reaches the last after {:.1} ms (median of 20), {:.1} µs \
         CPU for each watcher; {:.1} MB",
        times[10].as_secs_f64() * 1e3,
        used.as_secs_f64() * 1e6 / (20 * WATCHERS) as f64,
        megabytes(controller)
    );
}

/// From the answer of one controller to the first request that a sidecar fed by the other
/// routes by the change.
async fn in_effect(etcd: &Cluster) {
    let database = format!("--database_host={}", etcd.addresses());
    let store = format!("--store_address={}", etcd.addresses());
    let mut fabric = Fabric::start().await;
    fabric.registry = Server::registry(&["--store=etcd", &store]).await;
    fabric.controller = Server::controller(&["--database_type=etcd", &database]).await;
    let other = Server::controller(&["--database_type=etcd", &database]).await;
    let to = |version: &str| {
        json!({"rules": [{"id": "all", "destination": "helloworld",
            "route": {"backends": [{"tags": [format!("version={version}")]}]}}]})
    };
    other.post("/v1/rules", &to("v1")).await.expect(201);
    let flags = |version: &str| format!("--service-version={version}");
    let _v1 = fabric
        .service("helloworld", "v1", &[&flags("v1")], false)
        .await;
    let _v2 = fabric
        .service("helloworld", "v2", &[&flags("v2")], false)
        .await;
    let gateway = fabric.gateway().await;
    wait_for(&gateway, "v1").await;
    let mut times = Vec::new();
    for n in 0..100 {
        let version = if n % 2 == 0 { "v2" } else { "v1" };
        other.put("/v1/rules", &to(version)).await.expect(200);
        times.push(wait_for(&gateway, version).await);
    }
    times.sort();
    let late = times
        .iter()
        .filter(|time| **time > Duration::from_millis(100))
        .count();
    println!(
        "\nA rule written at one controller is routed by a sidecar fed by the other after {:.1} ms \
         (median), {:.1} ms (99 of 100); later than 100 ms: {late} of 100",
        times[50].as_secs_f64() * 1e3,
        times[98].as_secs_f64() * 1e3
    );
}

async fn wait_for(gateway: &a8_tests::fabric::Sidecar, version: &str) -> Duration {
    let began = Instant::now();
    loop {
        let answer = gateway.get("/helloworld/hello", None).await;
        if answer.is_ok_and(|text| text.contains(version)) {
            return began.elapsed();
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{version} does not come"
        );
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// Resident memory.
fn megabytes(server: &Server) -> f64 {
    server.process.resident() as f64 / (1024.0 * 1024.0)
}
