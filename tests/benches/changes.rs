//! How soon a change of rules is in effect at a gateway, and whether it costs a request.
//!
//! Part one: after the answer to each change the gateway is asked, one request after the
//! other, until the answer comes from the new version. Part two: changes alternate, first
//! one each 5 ms and then as fast as the controller takes them, while wrk keeps the gateway
//! busy.
//!
//! Part of `make bench`; runs over the release binaries, and needs wrk.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a failed step is a failed run"
)]

use std::process::Stdio;
use std::time::{Duration, Instant};

use a8_tests::fabric::{Fabric, Sidecar};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/helloworld/hello";
const TIMED: usize = 500;
const UNDER_LOAD: usize = 2_000;

fn all_to(version: &str) -> Value {
    json!({"rules": [{"id": "all", "destination": "helloworld",
        "route": {"backends": [{"tags": [format!("version={version}")]}]}}]})
}

async fn change(fabric: &Fabric, n: usize) -> &'static str {
    let version = if n.is_multiple_of(2) { "v2" } else { "v1" };
    let put = fabric.controller.call(Method::PUT, "/v1/rules");
    put.json(&all_to(version)).send().await.expect(200);
    version
}

#[tokio::main]
async fn main() {
    let fabric = Fabric::start().await;
    fabric
        .controller
        .post("/v1/rules", &all_to("v1"))
        .await
        .expect(201);
    let v1 = fabric
        .service("helloworld", "v1", &["--service-version=v1"], false)
        .await;
    let v2 = fabric
        .service("helloworld", "v2", &["--service-version=v2"], false)
        .await;
    let gateway = fabric.gateway().await;
    fabric.settled(&[&gateway], 2).await;

    let mut times = Vec::with_capacity(TIMED);
    for n in 0..TIMED {
        times.push(in_effect(&fabric, &gateway, n).await);
    }
    times.sort();
    let at = |share: f64| times[((TIMED - 1) as f64 * share) as usize];
    let within = times
        .iter()
        .filter(|t| **t <= Duration::from_millis(100))
        .count();
    println!(
        "{TIMED} changes, from the answer of the controller to the first request served by it:"
    );
    println!("  p50 {:?}  p99 {:?}  max {:?}", at(0.5), at(0.99), at(1.0));
    println!("  within 100 ms: {within} of {TIMED}");

    for pace in [Duration::from_millis(5), Duration::from_nanos(1)] {
        under_load(&fabric, &gateway, pace).await;
    }
    drop((v1, v2));
}

/// Changes the rules at most once each `pace` while there is load.
async fn under_load(fabric: &Fabric, gateway: &Sidecar, pace: Duration) {
    let load = wrk(gateway);
    let mut pace = tokio::time::interval(pace);
    let start = Instant::now();
    for n in 0..UNDER_LOAD {
        pace.tick().await;
        change(fabric, n).await;
    }
    let took = start.elapsed();
    let report = load.stop().await;
    println!("{UNDER_LOAD} changes in {took:.1?} under load:");
    println!("  {report}");
}

/// The time from the answer to a change until a request is served by it.
async fn in_effect(fabric: &Fabric, gateway: &Sidecar, n: usize) -> Duration {
    let version = format!("version: {},", change(fabric, n).await);
    let answered = Instant::now();
    loop {
        let began = answered.elapsed();
        let text = gateway.get(PATH, None).await.unwrap();
        // The moment the request was sent counts, not the time that it took.
        if text.contains(&version) {
            return began;
        }
        assert!(
            began < Duration::from_secs(10),
            "the change has no effect: {text}"
        );
    }
}

struct Load(tokio::process::Child);

/// Keeps the gateway busy until told to stop.
fn wrk(gateway: &Sidecar) -> Load {
    let url = format!("{}{PATH}", gateway.proxy);
    let wrk = tokio::process::Command::new("wrk")
        .args(["-t1", "-c32", "-d600s", &url])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    Load(wrk.unwrap_or_else(|e| panic!("wrk cannot be started ({e}); it is in the package wrk")))
}

impl Load {
    /// Ends the load; what wrk counted.
    async fn stop(self) -> String {
        let pid = self
            .0
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::INT).unwrap();
        let output = self.0.wait_with_output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = |start: &str| text.lines().map(str::trim).find(|l| l.starts_with(start));
        let total = text
            .lines()
            .map(str::trim)
            .find(|l| l.contains(" requests in "));
        format!(
            "{}; failed: {}; broken connections: {}",
            total.unwrap_or("wrk said nothing"),
            line("Non-2xx").unwrap_or("none"),
            line("Socket errors").unwrap_or("none"),
        )
    }
}
