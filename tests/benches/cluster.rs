//! What a sidecar costs in a cluster of a thousand pods that come and go, and what happens
//! while there is no API server.
//!
//! `make bench.kubernetes`; runs over the release binaries and the API server of the test kit.
//! `ARGS="--minutes 10"` says how long that one is away.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a failed step is a failed run"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use a8_tests::fabric::Sidecar;
use a8_tests::instance::{Instance, Speaks};
use a8_tests::kubernetes::{Cluster, answered_by, to, told};
use clap::Parser;
use serde_json::json;
use tokio::time::interval;

const SERVICES: usize = 50;
const PODS: usize = 1_000;
/// How many pods are replaced in a second, and for how long.
const PACE: u64 = 50;
const CHURN: Duration = Duration::from_secs(60);
const MIB: f64 = 1024.0 * 1024.0;

#[derive(Parser)]
struct Options {
    /// How long there is no API server
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// What cargo says to a program without a harness of tests
    #[arg(long, hide = true)]
    bench: bool,
}

/// The pods that nobody calls.
struct Crowd<'a> {
    cluster: &'a Cluster,
    /// How often each was replaced.
    lives: Vec<u64>,
    address: SocketAddr,
}

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let cluster = Cluster::start().await;
    let called = Instance::start(Speaks::One, "called", "v1").await;
    let mut crowd = Crowd {
        cluster: &cluster,
        lives: vec![0; PODS],
        address: called.address,
    };
    (0..PODS).for_each(|pod| crowd.put(pod));
    cluster.pod_at("called", &json!({"version": "v1"}), called.address);
    cluster.rule("called", &to("called", "v1"));
    let (sidecar, _) = cluster.sidecar("web").await;
    answered_by(&sidecar, "called", &["v1"]).await;
    println!(
        "{PODS} pods in {SERVICES} services: {:.1} MiB",
        megabytes(&sidecar)
    );
    churn(&mut crowd, &sidecar).await;
    outage(
        &cluster,
        &sidecar,
        Duration::from_secs(60 * options.minutes),
    )
    .await;
}

impl Crowd<'_> {
    fn put(&self, pod: usize) {
        let labels = json!({
            "app": format!("service-{}", pod % SERVICES), "version": format!("v{}", pod % 3),
            "life": self.lives[pod].to_string(),
        });
        let service = format!("service-{}", pod % SERVICES);
        let name = format!("crowd-{pod}-{}", self.lives[pod]);
        self.cluster.put_pod(&name, &labels);
        self.cluster
            .put_slice(&name, &service, self.address.port(), true);
    }

    /// Takes a pod away and makes another in its place: four changes of objects.
    fn replace(&mut self, pod: usize) {
        let name = format!("crowd-{pod}-{}", self.lives[pod]);
        self.cluster
            .take_away(&name, &format!("service-{}", pod % SERVICES));
        self.lives[pod] += 1;
        self.put(pod);
    }
}

async fn churn(crowd: &mut Crowd<'_>, sidecar: &Sidecar) {
    let (began, before) = (Instant::now(), sidecar.process.processor_time());
    let mut pace = interval(Duration::from_millis(1000 / PACE));
    let (mut replaced, mut most) = (0, 0.0_f64);
    while began.elapsed() < CHURN {
        pace.tick().await;
        crowd.replace(replaced % PODS);
        replaced += 1;
        if replaced % 50 == 0 {
            assert_eq!(
                sidecar.get("/called/", None).await,
                Ok("called/v1".to_owned())
            );
            most = most.max(megabytes(sidecar));
        }
    }
    let used = sidecar.process.processor_time() - before;
    let took = began.elapsed();
    let state = sidecar.admin("/state").await;
    println!(
        "{:.0} pods replaced in a second for {:.0} s: {:.1} % of a core, at most {most:.1} MiB; \
         knows {} instances",
        replaced as f64 / took.as_secs_f64(),
        took.as_secs_f64(),
        100.0 * used.as_secs_f64() / took.as_secs_f64(),
        state["instances"]["items"],
    );
}

async fn outage(cluster: &Cluster, sidecar: &Sidecar, time: Duration) {
    cluster.api.stop().await;
    let (began, before) = (Instant::now(), sidecar.process.processor_time());
    let (mut asked, mut failed) = (0, 0);
    while began.elapsed() < time {
        asked += 1;
        failed += usize::from(sidecar.get("/called/", None).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let used = sidecar.process.processor_time() - before;
    println!(
        "no API server for {:.0} s: {failed} of {asked} requests failed, {:.1} % of a core, {:.1} MiB",
        began.elapsed().as_secs_f64(),
        100.0 * used.as_secs_f64() / began.elapsed().as_secs_f64(),
        megabytes(sidecar),
    );
    assert_eq!(failed, 0);
    cluster.api.compact();
    let back = Instant::now();
    cluster.api.start_again().await;
    for kind in ["rules", "instances"] {
        told(sidecar, kind, true, "").await;
    }
    println!(
        "followed again {:.1} s after its return",
        back.elapsed().as_secs_f64()
    );
}

fn megabytes(sidecar: &Sidecar) -> f64 {
    sidecar.process.resident() as f64 / MIB
}
