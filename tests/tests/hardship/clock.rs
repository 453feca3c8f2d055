//! The clock is set back, and forward again, under everybody.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use a8_tests::fabric::Sidecar;
use a8_tests::process::{Process, binary};
use a8_tests::server::client;
use a8_tests::{ports, wait};
use serde_json::{Value, json};

/// The library that tells programs another time of day; what a timer waits for stays true.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap();
    let mut found = folders.filter_map(|folder| {
        let file = folder.ok()?.path().join("faketime/libfaketime.so.1");
        file.exists().then_some(file)
    });
    found.next().expect("libfaketime, which make test installs")
}

/// Starts a program whose time of day is as far from ours as `clock` says.
fn start(name: &str, args: &[String], clock: &Path) -> Process {
    let mut command = Command::new(binary(name));
    command
        .args(args)
        .env_clear()
        .env("LD_PRELOAD", library())
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    Process::spawn(name, command)
}

async fn server(name: &str, args: &[&str], clock: &Path) -> (Process, String) {
    let args = ["--api_port=0", "--log_format=json"].iter().chain(args);
    let args: Vec<_> = args.map(|arg| (*arg).to_owned()).collect();
    let process = start(name, &args, clock);
    let url = format!("http://127.0.0.1:{}", process.port().await);
    (process, url)
}

async fn ids(registry: &str) -> Vec<String> {
    let list = client()
        .get(format!("{registry}/api/v1/instances"))
        .send()
        .await
        .unwrap();
    let list: Value = list.json().await.unwrap();
    let of = |instance: &Value| instance["id"].as_str().unwrap().to_owned();
    list["instances"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

#[tokio::test]
async fn a_clock_that_is_set_back_takes_nobody_away_and_keeps_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let set = |offset: &str| std::fs::write(&clock, format!("{offset}\n")).unwrap();
    set("+0");
    let (_registry, registry) =
        server("a8registry", &["--min_ttl=3s", "--default_ttl=3s"], &clock).await;
    let (_controller, controller) = server("a8controller", &[], &clock).await;
    let port = ports::free();
    let args = ["--host=127.0.0.1".to_owned(), format!("--port={port}")];
    let _service = start("helloworld", &args, &clock);
    let (proxy, admin) = (ports::free(), ports::free());
    let file = folder.path().join("sidecar.yaml");
    let config = json!({
        "service": {"name": "helloworld", "tags": ["version=v1"]},
        "register": true, "proxy": true,
        "endpoint": {"host": "127.0.0.1", "port": port, "type": "http"},
        "registry": {"url": registry}, "controller": {"url": controller},
        "proxy_config": {"http_listener_port": proxy, "admin_port": admin,
            "state_dir": folder.path().join("state")},
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let args = [
        format!("--config={}", file.display()),
        "--log_format=json".to_owned(),
    ];
    let process = start("a8sidecar", &args, &clock);
    process.logged("registered").await;
    let sidecar = Sidecar::of(process, proxy, admin);
    let good = async |what: &str| {
        wait::until(what, || async {
            sidecar.get("/helloworld/hello", None).await.map(drop)
        })
        .await;
        for answer in sidecar.get_many("/helloworld/hello", 50).await {
            assert!(answer.is_ok(), "{what}: {answer:?}");
        }
    };
    good("at first").await;
    let own = ids(&registry).await;
    assert_eq!(own.len(), 1);

    for (offset, what) in [("-3600", "back"), ("+3600", "forward")] {
        // One that nobody renews, from before.
        let body = json!({"service_name": "dead", "ttl": 3,
            "endpoint": {"type": "http", "value": "127.0.0.1:1"}});
        let made = client()
            .post(format!("{registry}/api/v1/instances"))
            .json(&body);
        assert_eq!(made.send().await.unwrap().status(), 201);
        assert_eq!(ids(&registry).await.len(), 2);
        set(offset);
        // Several times the time to live of either.
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(7) {
            good(what).await;
            let now = ids(&registry).await;
            assert!(now.contains(&own[0]), "{what}: {now:?}");
        }
        wait::until("the dead to leave", || async {
            let now = ids(&registry).await;
            match now == own {
                true => Ok(()),
                false => Err(format!("{now:?}")),
            }
        })
        .await;
        // A rule is in effect at once, and what is told of age is true.
        let rules = json!([{"id": what, "destination": "helloworld",
            "route": {"backends": [{"tags": ["version=v1"]}]}}]);
        let made = client().post(format!("{controller}/v1/rules")).json(&rules);
        assert_eq!(made.send().await.unwrap().status(), 201);
        wait::until("the rule", || async {
            let state = sidecar.admin("/state").await;
            let age = state["rules"]["age_seconds"].as_f64();
            match (state["rules"]["items"].as_u64(), age) {
                (Some(1..), Some(0.0..60.0)) => Ok(()),
                _ => Err(state.to_string()),
            }
        })
        .await;
        good(what).await;
    }
    assert_eq!(ids(&registry).await, own, "nobody had to register anew");
}
