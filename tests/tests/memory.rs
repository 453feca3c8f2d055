//! How much memory a sidecar takes that knows thousands of rules and instances.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::path::{Path, PathBuf};

use a8_tests::fabric::Sidecar;
use a8_tests::{ports, wait};
use serde_json::{Value, json};

const SERVICES: usize = 500;
const EACH: usize = 10;
/// Half of it is what was measured, in a build without optimizations: no document, and no list
/// of what most rules have one of, fits in between.
const MOST: usize = 40 << 20;

fn instances() -> Value {
    let all = (0..SERVICES * EACH).map(|n| {
        let (service, nth) = (n / EACH, n % EACH);
        let version = if nth < 6 { "v1" } else { "v2" };
        json!({
            "service_name": format!("service-{service}"), "tags": [version, "zone=eu"],
            "endpoint": {"type": "http", "value": format!("10.{}.{}.{nth}:9080", service / 250, service % 250)},
            "metadata": {"build": format!("2026.11.{nth}")},
        })
    });
    json!({"instances": all.collect::<Vec<_>>()})
}

fn rules() -> Value {
    let all = (0..SERVICES * EACH).map(|n| {
        let (service, nth) = (n / EACH, n % EACH);
        let to_v2 = json!({"backends": [{"tags": ["v2"]}]});
        let mut rule = json!({
            "id": format!("rule-{n}"), "priority": nth, "destination": format!("service-{service}"),
        });
        match nth {
            0 => {
                rule["route"] =
                    json!({"backends": [{"tags": ["v1"], "weight": 0.75}, {"tags": ["v2"]}]})
            }
            1..6 => {
                rule["match"] =
                    json!({"headers": {"Cookie": format!("^(.*?;)?(user=u{n})(;.*)?$")}});
                rule["route"] = to_v2;
            }
            6 | 7 => {
                rule["match"] =
                    json!({"source": {"name": format!("service-{nth}"), "tags": ["v2"]}});
                rule["route"] = to_v2;
            }
            _ => {
                rule["match"] = json!({"all": [{"headers": {"X-Tenant": format!("t{n}")}}]});
                rule["actions"] = json!([{"action": "delay", "duration": 2.5, "probability": 0.5}]);
            }
        }
        rule
    });
    json!({"rules": all.collect::<Vec<_>>()})
}

fn write(folder: &Path, name: &str, content: &Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content.to_string()).unwrap();
    path
}

/// The most memory that a process has had beside the files that it is made of, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let kilobytes = |name: &str| -> usize {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    };
    (kilobytes("VmHWM:") - kilobytes("RssFile:")) << 10
}

#[tokio::test]
async fn thousands_of_rules_and_instances_take_a_few_kilobytes_each() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, admin) = (ports::free(), ports::free());
    let config = json!({
        "service": {"name": "caller", "tags": ["v1"]},
        "proxy": true,
        "discovery_adapter": "filesystem",
        "discovery": {"path": write(folder.path(), "instances.json", &instances())},
        "rules_adapter": "filesystem",
        "rules": {"path": write(folder.path(), "rules.json", &rules())},
        "proxy_config": {"worker_threads": 1, "http_listener_port": proxy, "admin_port": admin},
    });
    let config = write(folder.path(), "sidecar.json", &config);
    let sidecar = Sidecar::start(&config, proxy, admin).await;
    wait::until("all to be known", || async {
        let state = sidecar.admin("/state").await;
        match ["instances", "rules"].map(|kind| state[kind]["items"] == SERVICES * EACH) {
            [true, true] => Ok(()),
            _ => Err(state.to_string()),
        }
    })
    .await;
    let peak = peak(sidecar.process.id());
    assert!(peak < MOST, "{} MB", peak >> 20);
}
