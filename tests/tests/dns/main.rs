//! The DNS server of real sidecars, asked by others' programs: dig, and the C library's resolver.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod life;
mod questions;

use std::path::{Path, PathBuf};
use std::process::Command;

use a8_tests::fabric::Sidecar;
use a8_tests::ports;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A sidecar that does nothing but resolve names.
struct Server {
    sidecar: Sidecar,
    port: u16,
    folder: TempDir,
}

fn instance(service: &str, kind: &str, at: &str, tags: &[&str]) -> Value {
    json!({
        "service_name": service, "tags": tags, "status": "UP",
        "endpoint": {"type": kind, "value": at},
    })
}

fn shop() -> Vec<Value> {
    let mut all = vec![
        instance("reviews", "http", "10.0.0.1:9080", &["v1", "zone=eu"]),
        instance("reviews", "http", "10.0.0.2:9080", &["v2", "zone=us"]),
        instance("reviews", "http", "[fd00::2]:9080", &["v2"]),
        instance("db.orders", "tcp", "10.0.1.1:5432", &[]),
        instance("local", "http", "localhost:80", &[]),
    ];
    for n in 1..=100 {
        all.push(instance("many", "http", &format!("10.1.0.{n}:80"), &[]));
    }
    all
}

/// Writes what a sidecar is started with; `dns` is its section.
fn write(folder: &Path, instances: &[Value], dns: Value, admin: u16) -> PathBuf {
    let file = |name: &str, content: Value| {
        let path = folder.join(name);
        std::fs::write(&path, content.to_string()).unwrap();
        path
    };
    let known = file("instances.json", json!({"instances": instances}));
    let config = json!({
        "dns": true,
        "dnsconfig": dns,
        "discovery_adapter": "filesystem",
        "discovery": {"path": known},
        "proxy_config": {"admin_port": admin},
    });
    file("sidecar.json", config)
}

impl Server {
    async fn start(instances: &[Value]) -> Self {
        Self::with(instances, json!({})).await
    }

    /// One with more in its section.
    async fn with(instances: &[Value], mut dns: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, admin) = (ports::free(), ports::free());
        dns["port"] = port.into();
        let config = write(folder.path(), instances, dns, admin);
        let sidecar = Sidecar::start(&config, 0, admin).await;
        Self {
            sidecar,
            port,
            folder,
        }
    }

    /// What dig prints, asked with `args`.
    fn dig(&self, args: &str) -> String {
        dig(self.port, args)
    }

    /// The answers alone, sorted.
    fn short(&self, args: &str) -> Vec<String> {
        short(self.port, args)
    }
}

fn dig(port: u16, args: &str) -> String {
    let out = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port.to_string(), "+tries=5"])
        .args(args.split_whitespace())
        // What the tester's own file says must not matter.
        .env("HOME", "/nonexistent")
        .output()
        .expect("dig, which `make test` installs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "dig {args}: {text}");
    // It has an opinion on replies that do not follow the standards. That nobody else is asked
    // is none of them.
    let text = text.replace(";; WARNING: recursion requested but not available\n", "");
    for complaint in ["WARNING", "malformed", "mismatch", "Warning"] {
        assert!(!text.contains(complaint), "dig {args}: {text}");
    }
    text
}

fn short(port: u16, args: &str) -> Vec<String> {
    let text = dig(port, &format!("+short {args}"));
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
