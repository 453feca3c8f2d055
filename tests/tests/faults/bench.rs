//! A sidecar, an instance that is sane, and others that are not.

use std::net::SocketAddr;

use a8_tests::caller::{Answer, Caller, get};
use a8_tests::faulty::{Faulty, Then};
use a8_tests::instance::{Instance, Speaks};
use a8_tests::setup::{Running, Setup};
use a8_tests::{server, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The instances, and what the sidecar is to know of them.
pub(crate) struct Plan {
    pub(crate) setup: Setup,
    sane: Instance,
    faulty: Vec<Faulty>,
}

/// All of it, running.
pub(crate) struct Bench {
    pub(crate) running: Running,
    pub(crate) to: SocketAddr,
    files: usize,
    // The access log lies in its folder.
    _setup: Setup,
    _sane: Instance,
    faulty: Vec<Faulty>,
}

impl Plan {
    pub(crate) async fn new() -> Self {
        let mut setup = Setup::new();
        let sane = Instance::start(Speaks::One, "sane", "v1").await;
        setup.instance("sane", "http", sane.address);
        Self {
            setup,
            sane,
            faulty: Vec::new(),
        }
    }

    /// Adds an instance that says `what` of HTTP/1 and does `then`.
    pub(crate) async fn one(&mut self, service: &str, what: impl Into<Vec<u8>>, then: Then) {
        let instance = Faulty::new(what, then).await;
        self.setup.instance(service, "http", instance.address);
        self.faulty.push(instance);
    }

    /// Adds an instance that says `what` of HTTP/2 and does `then`.
    pub(crate) async fn two(&mut self, service: &str, what: impl Into<Vec<u8>>, then: Then) {
        let instance = Faulty::new(what, then).await;
        self.setup.http2_instance(service, instance.address);
        self.faulty.push(instance);
    }

    /// Gives `service` a time limit and retries, and no ejection.
    pub(crate) fn limit(&mut self, service: &str, seconds: f64, retries: u32) {
        let backend = json!({"tags": ["v1"], "resilience": {"consecutive_errors": 1_000_000}});
        self.setup.rule(json!({"destination": service, "route": {
            "backends": [backend], "http_req_timeout": seconds, "http_req_retries": retries,
        }}));
    }

    pub(crate) async fn start(self) -> Bench {
        let running = self.setup.start().await;
        let to = SocketAddr::from(([127, 0, 0, 1], running.port));
        let bench = Bench {
            files: 0,
            running,
            to,
            _setup: self.setup,
            _sane: self.sane,
            faulty: self.faulty,
        };
        // One request before, so that what is needed once is there.
        bench.is_sane().await;
        let files = bench.running.open_files();
        Bench { files, ..bench }
    }
}

impl Bench {
    /// A caller of either version, each with its name.
    pub(crate) fn callers(&self) -> [(&'static str, Caller); 2] {
        [
            ("HTTP/1", Caller::one(self.to)),
            ("HTTP/2", Caller::two(self.to)),
        ]
    }

    /// Asks the sane instance.
    pub(crate) async fn is_sane(&self) {
        let answer = Caller::one(self.to).send(get("/sane/x")).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Says `bytes` and returns all that comes until the sidecar ends the connection.
    pub(crate) async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.to).await.unwrap();
        // The sidecar may have heard enough before the end.
        let _ = stream.write_all(bytes).await;
        rest(stream).await
    }

    /// All faults are over: a sane request is answered, and nothing is left open.
    pub(crate) async fn ends_well(mut self) {
        self.is_sane().await;
        self.faulty.clear();
        self.running.no_more_than(self.files).await;
        let admin = &self.running.sidecar.admin;
        wait::until("callers to be gone", || {
            server::is_zero(admin, "a8_caller_connections")
        })
        .await;
        let clusters = self.running.sidecar.admin("/clusters").await;
        for cluster in clusters["clusters"].as_array().unwrap() {
            let now = [&cluster["in_flight"], &cluster["waiting"]];
            assert_eq!(now, [&json!(0), &json!(0)], "{cluster}");
        }
    }
}

/// All that comes until the end of a connection, however it ends.
pub(crate) async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = timeout(wait::PATIENCE, stream.read_to_end(&mut heard));
    let _ = read.await.expect("the connection does not end");
    heard
}

/// Fails unless `answer` is the proxy's own with this status and flag.
#[track_caller]
pub(crate) fn is_told(answer: &Answer, status: u16, flag: &str, what: &str) {
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    let told = answer.fields.get("a8-error").map(|f| f.to_str().unwrap());
    assert_eq!(told, Some(flag), "{what}: {answer:?}");
}
