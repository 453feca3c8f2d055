//! A sidecar by itself: its instances and rules are files, its callers are tests.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::fabric::Sidecar;
use crate::{ports, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::papers::Papers;

/// What the sidecar is to know.
pub struct Setup {
    folder: TempDir,
    /// Of both sides.
    pub papers: Papers,
    instances: Vec<Value>,
    rules: Vec<Value>,
    proxy: Value,
}

/// A running sidecar.
pub struct Running {
    /// The process.
    pub sidecar: Sidecar,
    /// The application's way out.
    pub port: u16,
    /// Whether callers speak TLS with it.
    pub tls: bool,
    log: PathBuf,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// Nothing yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            papers: Papers::new(folder.path()),
            instances: Vec::new(),
            rules: Vec::new(),
            proxy: json!({"worker_threads": 1, "ca_cert_file": folder.path().join("ca.pem")}),
            folder,
        }
    }

    /// A folder that ends with the setup.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Adds an instance of `service` whose endpoint is `at`.
    pub fn instance(&mut self, service: &str, kind: &str, at: impl Display) {
        self.instances.push(json!({
            "service_name": service, "tags": ["v1"], "status": "UP",
            "endpoint": {"type": kind, "value": at.to_string()},
        }));
    }

    /// Adds an instance that says of itself that it speaks HTTP/2.
    pub fn http2_instance(&mut self, service: &str, at: impl Display) {
        self.instance(service, "http", at);
        if let Some(added) = self.instances.last_mut() {
            added["metadata"] = json!({"protocol": "h2"});
        }
    }

    /// The endpoint of the one instance of `service`.
    pub fn endpoint(&self, service: &str) -> String {
        let mut instances = self.instances.iter();
        let found = instances.find(|i| i["service_name"] == service).unwrap();
        found["endpoint"]["value"].as_str().unwrap().to_owned()
    }

    /// Adds a rule.
    pub fn rule(&mut self, rule: Value) {
        self.rules.push(rule);
    }

    /// Sets what stands below `proxy_config`.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.proxy[key] = value.into();
    }

    /// Starts a sidecar that is spoken to in clear.
    pub async fn start(&self) -> Running {
        self.run(false).await
    }

    /// Starts a sidecar that is spoken to under TLS.
    pub async fn start_tls(&self) -> Running {
        self.run(true).await
    }

    async fn run(&self, tls: bool) -> Running {
        let (port, admin) = (ports::free(), ports::free());
        let file = |name: &str| self.folder.path().join(format!("{name}-{port}.json"));
        let write = |name: &str, content: &Value| {
            std::fs::write(file(name), content.to_string()).unwrap();
            file(name)
        };
        let mut proxy = self.proxy.clone();
        let log = file("access");
        proxy["http_listener_port"] = port.into();
        proxy["admin_port"] = admin.into();
        if proxy.get("access_log").is_none() {
            proxy["access_log"] = json!(log);
        }
        if tls {
            proxy["tls"] = true.into();
            proxy["cert_chain_file"] = json!(self.papers.chain);
            proxy["private_key_file"] = json!(self.papers.key);
        }
        let config = json!({
            "service": {"name": "caller", "tags": ["v1"]},
            "proxy": true,
            "discovery_adapter": "filesystem",
            "discovery": {"path": write("instances", &json!({"instances": self.instances}))},
            "rules_adapter": "filesystem",
            "rules": {"path": write("rules", &json!(self.rules))},
            "log_level": "debug",
            "proxy_config": proxy,
        });
        let config = write("sidecar", &config);
        Running {
            sidecar: Sidecar::start(&config, port, admin).await,
            port,
            tls,
            log,
        }
    }
}

impl Running {
    /// The lines of the access log so far.
    pub fn logged(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits until `count` requests for `path` are logged, and returns their lines.
    pub async fn told(&self, path: &str, count: usize) -> Vec<Value> {
        wait::until(&format!("{count} lines for {path}"), || async {
            let mut lines = self.logged();
            lines.retain(|line| line["path"] == path);
            match lines.len() == count {
                true => Ok(lines),
                false => Err(format!("{lines:?}")),
            }
        })
        .await
    }

    /// How many files and sockets the sidecar has open.
    pub fn open_files(&self) -> usize {
        self.links().len()
    }

    fn links(&self) -> Vec<String> {
        let folder = format!("/proc/{}/fd", self.sidecar.process.id());
        let entries = std::fs::read_dir(folder).unwrap();
        let links = entries.filter_map(|e| std::fs::read_link(e.ok()?.path()).ok());
        links.map(|l| l.display().to_string()).collect()
    }

    /// Waits until no more than `count` files and sockets are open.
    pub async fn no_more_than(&self, count: usize) {
        wait::until(&format!("{count} open files"), || async {
            let now = self.links();
            match now.len() <= count {
                true => Ok(()),
                false => Err(format!("{now:?}")),
            }
        })
        .await;
    }
}
