//! The order in which a sidecar ends, by the times at which others see it: the registry, a caller,
//! the application, and whoever asks whether it is ready.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test, and tasks end with the test"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use a8_tests::fabric::Fabric;
use a8_tests::{ports, wait};
use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

const GRACE: Duration = Duration::from_millis(700);

/// Nanoseconds of the clock that the application's shell reads, too.
fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos()
}

/// What happened, in the order in which it was seen.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<(u128, &'static str)>>>);

impl Times {
    async fn note(&self, what: &'static str) {
        self.0.lock().await.push((now(), what));
    }

    async fn of(&self, what: &str) -> u128 {
        wait::until(what, || async {
            let all = self.0.lock().await;
            let found = all.iter().find(|(_, seen)| *seen == what);
            found.map(|(at, _)| *at).ok_or_else(|| format!("{all:?}"))
        })
        .await
    }

    /// What is written by the application's shell.
    async fn of_file(&self, what: &'static str, file: &Path) -> u128 {
        let at = wait::until(what, || async {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            text.trim().parse().map_err(|_| text)
        });
        let at = at.await;
        self.0.lock().await.push((at, what));
        at
    }
}

/// A way to the registry that notes when an instance is taken away. Returns where it is.
async fn recording(registry: &str, times: Times) -> String {
    let registry = registry.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (registry, times) = (registry.clone(), times.clone());
            tokio::spawn(async move {
                let mut far = TcpStream::connect(registry).await.unwrap();
                let ((mut asks, mut told), (mut answers, mut tell)) = (near.split(), far.split());
                let forth = async {
                    let mut buffer = [0; 4096];
                    while let Ok(length @ 1..) = asks.read(&mut buffer).await {
                        if buffer.starts_with(b"DELETE ") {
                            times.note("deregistered").await;
                        }
                        tell.write_all(&buffer[..length]).await.unwrap();
                    }
                };
                tokio::select! {
                    () = forth => {}
                    _ = copy(&mut answers, &mut told) => {}
                }
            });
        }
    });
    here
}

/// Answers one request. Who answers before there is one is taken for broken.
async fn answer(caller: &mut TcpStream) {
    let (mut request, mut piece) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        let length = caller.read(&mut piece).await.unwrap();
        assert!(length > 0, "no request");
        request.extend_from_slice(&piece[..length]);
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    caller.write_all(answer).await.unwrap();
}

#[tokio::test]
async fn a_sidecar_ends_in_its_order() {
    let times = Times::default();
    let mut fabric = Fabric::start().await;
    fabric.registry_urls = Some(recording(&fabric.registry.url, times.clone()).await);
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told = json!({
        "service_name": "slow", "ttl": 600,
        "endpoint": {"type": "http", "value": service.local_addr().unwrap().to_string()},
    });
    fabric
        .registry
        .post("/api/v1/instances", &told)
        .await
        .expect(201);
    let (folder, proxy) = (tempfile::tempdir().unwrap(), ports::free());
    let file = |name: &str| folder.path().join(name);
    // It is told to end, makes a last call by a connection of its own, and ends with a code.
    let script = format!(
        "cd {}; trap 'date +%s%N > told; curl -s -o last http://127.0.0.1:{proxy}/slow/; \
         date +%s%N > gone; exit 9' TERM; echo > ready; while :; do sleep 0.02; done",
        folder.path().display()
    );
    let script = serde_json::to_string(&script).unwrap();
    let more = format!(
        "register: true\nendpoint: {{host: 127.0.0.1, port: 1, type: http}}\n\
         commands:\n- cmd: {script}\n  on_exit: terminate\n"
    );
    let own = format!("deregister_grace: {}ms", GRACE.as_millis());
    let mut sidecar = fabric.sidecar_with(proxy, "app", "v1", &more, &own).await;
    fabric.settled(&[&sidecar], 2).await;
    wait::until("the application", || async {
        file("ready").exists().then_some(()).ok_or_else(String::new)
    })
    .await;

    // A request that is in flight when it begins to end.
    let url = format!("{}/slow/", sidecar.proxy);
    let call = |name: &'static str| {
        let (url, times) = (url.clone(), times.clone());
        tokio::spawn(async move {
            let answer = a8_tests::server::client().get(url).send().await.unwrap();
            assert_eq!((name, answer.status().as_u16()), (name, 200));
            times.note(name).await;
        })
    };
    let held_call = call("the call in flight was answered");
    let (mut held, _) = service.accept().await.unwrap();
    let began = now();
    sidecar.process.signal(Signal::TERM);

    let deregistered = times.of("deregistered").await;
    let ready = a8_tests::server::client().get(format!("{}/ready", sidecar.admin));
    assert_eq!(ready.send().await.unwrap().status(), 503);
    times.note("not ready").await;
    let late_call = call("a new call was answered");
    let (mut late, _) = service.accept().await.unwrap();
    answer(&mut late).await;
    late_call.await.unwrap();
    sidecar.process.logged("draining").await;
    times.note("draining").await;
    assert!(!file("told").exists());
    let released = now();
    answer(&mut held).await;
    held_call.await.unwrap();
    let told = times
        .of_file("the application is told", &file("told"))
        .await;
    let (mut last, _) = service.accept().await.unwrap();
    answer(&mut last).await;
    let gone = times
        .of_file("the application is gone", &file("gone"))
        .await;
    assert_eq!(sidecar.process.exit().await.code(), Some(9));
    times.note("the sidecar is gone").await;
    assert_eq!(std::fs::read_to_string(file("last")).unwrap(), "ok");
    assert!(TcpStream::connect(("127.0.0.1", proxy)).await.is_err());

    let mut all = times.0.lock().await.clone();
    all.sort_unstable();
    for (at, what) in &all {
        println!("{:>9.1} ms  {what}", (at - began) as f64 / 1e6);
    }
    assert!(told - deregistered >= GRACE.as_nanos(), "{all:?}");
    // It was told only after the call in flight could end.
    assert!(
        began < deregistered && released < told && told < gone,
        "{all:?}"
    );
}
