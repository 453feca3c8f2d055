//! A whole fabric: registry, controller, services with a sidecar beside each, a gateway.

use std::net::SocketAddr;
use std::path::Path;

use futures_util::{StreamExt, stream};
use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::server::{Server, client};
use crate::{ports, wait};

/// Registry and controller, and where the configurations of sidecars are kept.
pub struct Fabric {
    /// The registry.
    pub registry: Server,
    /// The registries that sidecars are told of, where it is not that one.
    pub registry_urls: Option<String>,
    /// The controller.
    pub controller: Server,
    /// A folder that ends with the fabric.
    pub folder: TempDir,
}

/// A running sidecar.
pub struct Sidecar {
    /// The process, for signals and logs.
    pub process: Process,
    /// The application's way out.
    pub proxy: String,
    /// The admin address.
    pub admin: String,
    http: Client,
}

/// One instance of a demo service, with the sidecar that registers it and is its way out.
pub struct Service {
    /// The service itself.
    pub process: Process,
    /// The sidecar beside it.
    pub sidecar: Sidecar,
    /// Where the service listens.
    pub url: String,
}

impl Fabric {
    /// Starts the two servers with their state in memory.
    pub async fn start() -> Self {
        let registry = Server::registry(&[]).await;
        let controller = Server::controller(&[]).await;
        Self::of(registry, controller)
    }

    /// Around servers that run already.
    pub fn of(registry: Server, controller: Server) -> Self {
        Self {
            registry,
            registry_urls: None,
            controller,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts the two servers with their state on disk.
    pub async fn start_durable() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("--data_dir={}", folder.path().join(name).display());
        let (registry, controller) = (at("registry"), at("controller"));
        let registry = Server::registry(&["--store=embedded", &registry]).await;
        let controller = Server::controller(&["--database_type=embedded", &controller]).await;
        Self {
            folder,
            ..Self::of(registry, controller)
        }
    }

    /// The flags of a sidecar that routes by what the servers say, on any ports, with `more`.
    pub fn flags(&self, more: &[&str]) -> Vec<String> {
        let (registry, controller) = (&self.registry.url, &self.controller.url);
        let mut flags = vec![
            format!("--registry_url={registry}"),
            format!("--controller_url={controller}"),
        ];
        let plain = ["--proxy=true", "--http_listener_port=0", "--admin_port=0"];
        let all = plain.iter().chain(&["--log_format=json"]).chain(more);
        flags.extend(all.map(|flag| (*flag).to_owned()));
        flags
    }

    /// Starts an instance of the demo service `name`, and its sidecar, and waits until both
    /// are ready. `calls` says whether the service calls others.
    pub async fn service(&self, name: &str, version: &str, flags: &[&str], calls: bool) -> Service {
        let port = ports::free();
        let proxy = ports::free();
        let mut args = vec!["--host=127.0.0.1".to_owned(), format!("--port={port}")];
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        if calls {
            args.push(format!("--proxy-url=http://127.0.0.1:{proxy}"));
        }
        let process = Process::start(name, &args, &[]);
        let url = format!("http://127.0.0.1:{port}");
        answers(&client(), &format!("{url}/health"), &process).await;
        let more =
            format!("register: true\nendpoint:\n  host: 127.0.0.1\n  port: {port}\n  type: http\n");
        let sidecar = self.sidecar_at(proxy, name, version, &more).await;
        Service {
            process,
            sidecar,
            url,
        }
    }

    /// Starts a sidecar without a service, which is the way in from outside.
    pub async fn gateway(&self) -> Sidecar {
        self.sidecar_at(ports::free(), "gateway", "none", "").await
    }

    /// Starts a sidecar without a service whose way in is a port that leads to `service`
    /// whatever is spoken over it; `more` is added to its `proxy_config`.
    pub async fn gateway_to(&self, service: &str, more: &str) -> (Sidecar, SocketAddr) {
        let (proxy, port) = (ports::free(), ports::free());
        let config =
            format!("  tcp_proxies: [{{service: {service}, listener_port: {port}}}]\n  {more}\n");
        let gateway = identity("gateway", "none");
        let sidecar = self.start_sidecar(proxy, &gateway, "", &config);
        (sidecar.await, SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Starts a sidecar that only calls, as `service`, which is JSON or YAML; `own` is added to
    /// its `proxy_config`.
    pub async fn caller(&self, service: &str, own: &str) -> Sidecar {
        let own = format!("  {own}\n");
        self.start_sidecar(ports::free(), service, "", &own).await
    }

    /// Starts a sidecar that registers `name` at `port`, to be spoken to by TCP.
    pub async fn tcp_service(&self, name: &str, version: &str, port: u16) -> Sidecar {
        let more =
            format!("register: true\nendpoint:\n  host: 127.0.0.1\n  port: {port}\n  type: tcp\n");
        self.sidecar_at(ports::free(), name, version, &more).await
    }

    /// Starts a sidecar with `more` in its configuration, whose way out is the port `proxy`, and
    /// waits until it is ready.
    pub async fn sidecar_at(&self, proxy: u16, name: &str, version: &str, more: &str) -> Sidecar {
        self.start_sidecar(proxy, &identity(name, version), more, "")
            .await
    }

    /// Does the same with `own` at the end of its `proxy_config`.
    pub async fn sidecar_with(
        &self,
        proxy: u16,
        name: &str,
        version: &str,
        more: &str,
        own: &str,
    ) -> Sidecar {
        let own = format!("  {own}\n");
        self.start_sidecar(proxy, &identity(name, version), more, &own)
            .await
    }

    async fn start_sidecar(&self, proxy: u16, service: &str, more: &str, own: &str) -> Sidecar {
        let admin = ports::free();
        let workers = match own.contains("worker_threads") {
            true => "",
            false => "  worker_threads: 1\n",
        };
        let registries = self.registry_urls.as_ref().unwrap_or(&self.registry.url);
        let config = format!(
            "service: {service}\nproxy: true\n{more}\
             registry:\n  url: {}\ncontroller:\n  url: {}\nproxy_config:\n  \
             http_listener_port: {proxy}\n  admin_port: {admin}\n{workers}{own}",
            registries, self.controller.url
        );
        let file = self.folder.path().join(format!("sidecar-{proxy}.yaml"));
        std::fs::write(&file, config).unwrap();
        Sidecar::start(&file, proxy, admin).await
    }

    /// Creates the rules of a file of the examples.
    pub async fn create_rules(&self, file: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples")
            .join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let rules: Value = serde_saphyr::from_str(&text).unwrap();
        self.controller.post("/v1/rules", &rules).await.expect(201);
    }

    /// Waits until `sidecars` go by what registry and controller hold now, and know
    /// `instances` instances.
    pub async fn settled(&self, sidecars: &[&Sidecar], instances: usize) {
        wait::until("all instances to register", || async {
            let list = self
                .registry
                .get("/api/v1/instances")
                .await
                .expect(200)
                .json();
            match list["instances"].as_array().map(Vec::len) {
                Some(count) if count == instances => Ok(()),
                _ => Err(list.to_string()),
            }
        })
        .await;
        for kind in ["instances", "rules"] {
            self.in_effect(sidecars, kind).await;
        }
    }

    /// Waits until `sidecars` go by the instances that the registry, or the rules that the
    /// controller holds now.
    pub async fn in_effect(&self, sidecars: &[&Sidecar], kind: &str) {
        let (server, path) = match kind {
            "rules" => (&self.controller, "/v1/rules"),
            _ => (&self.registry, "/api/v1/instances"),
        };
        let tag = server.get(path).await.expect(200).header("etag").to_owned();
        let revision = tag.trim_matches('"').rsplit('-').next();
        let revision: u64 = revision.unwrap().parse().unwrap();
        for sidecar in sidecars {
            sidecar.reaches(kind, revision).await;
        }
    }
}

impl Sidecar {
    /// One that runs already.
    pub fn of(process: Process, proxy: u16, admin: u16) -> Self {
        Self::at(process, "127.0.0.1", proxy, admin)
    }

    /// One that runs already, on another host.
    pub fn at(process: Process, host: &str, proxy: u16, admin: u16) -> Self {
        Self {
            process,
            proxy: format!("http://{host}:{proxy}"),
            admin: format!("http://{host}:{admin}"),
            http: client(),
        }
    }

    /// Starts a sidecar that listens on `proxy` and `admin` by its configuration, and waits
    /// until it is ready.
    pub async fn start(config: &Path, proxy: u16, admin: u16) -> Self {
        let sidecar = Self::begin(config, proxy, admin).await;
        let ready = format!("{}/ready", sidecar.admin);
        answers(&sidecar.http, &ready, &sidecar.process).await;
        sidecar
    }

    /// The same, without waiting for more than that it lives.
    pub async fn begin(config: &Path, proxy: u16, admin: u16) -> Self {
        let args = [
            format!("--config={}", config.display()),
            "--log_format=json".to_owned(),
        ];
        let process = Process::start("a8sidecar", &args, &[]);
        let sidecar = Self::of(process, proxy, admin);
        let health = format!("{}/health", sidecar.admin);
        answers(&sidecar.http, &health, &sidecar.process).await;
        sidecar
    }

    /// What the admin endpoint says at `path`.
    pub async fn admin(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}{path}", self.admin))
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    }

    /// Waits until it goes by `revision` of `kind`, which is `rules` or `instances`.
    pub async fn reaches(&self, kind: &str, revision: u64) {
        wait::until(&format!("revision {revision} of {kind}"), || async {
            let state = self.admin("/state").await;
            match state[kind]["revision"].as_u64() {
                Some(now) if now >= revision => Ok(()),
                _ => Err(state.to_string()),
            }
        })
        .await;
    }

    /// One request; the answer's text, or what went wrong.
    pub async fn get(&self, path: &str, cookie: Option<&str>) -> Result<String, String> {
        let url = format!("{}{path}", self.proxy);
        let mut request = self.http.get(url).timeout(wait::PATIENCE);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.map_err(|e| format!("{e:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| format!("{e:?}"))?;
        match status.is_success() {
            true => Ok(text),
            false => Err(format!("{status}: {text}")),
        }
    }

    /// `count` requests, some at a time.
    pub async fn get_many(&self, path: &str, count: usize) -> Vec<Result<String, String>> {
        let requests = (0..count).map(|_| self.get(path, None));
        stream::iter(requests).buffer_unordered(16).collect().await
    }
}

/// Requests one after the other as long as `going`; what they were answered.
pub async fn load(
    sidecar: &Sidecar,
    path: &str,
    going: &std::sync::atomic::AtomicBool,
) -> Vec<Result<String, String>> {
    let mut answers = Vec::new();
    while going.load(std::sync::atomic::Ordering::Relaxed) {
        answers.push(sidecar.get(path, None).await);
    }
    answers
}

/// Who a sidecar stands for.
fn identity(name: &str, version: &str) -> String {
    format!("{{name: {name}, tags: [version={version}]}}")
}

/// Waits until `url` answers 200.
async fn answers(http: &Client, url: &str, process: &Process) {
    wait::until(&format!("{url} to answer 200"), || async {
        match http.get(url).send().await {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(answer) => Err(answer.text().await.unwrap_or_default()),
            Err(e) => Err(format!("{e:?}\n{}", process.stderr())),
        }
    })
    .await;
}
