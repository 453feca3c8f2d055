//! The Docker engine, images of the programs under test, and projects of Compose made of them.
//! All of it is taken away again when nobody uses it any more.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use a8_tests::ports;
use a8_tests::process::binary;

/// What the images of the demos are named after.
const DEMOS: [&str; 8] = [
    "helloworld-v1",
    "helloworld-v2",
    "bookinfo-productpage-v1",
    "bookinfo-details-v1",
    "bookinfo-ratings-v1",
    "bookinfo-reviews-v1",
    "bookinfo-reviews-v2",
    "bookinfo-reviews-v3",
];

/// An engine that has the images.
pub(crate) struct Engine {
    tag: String,
    images: Vec<String>,
    /// `docker-compose`, or `docker compose`.
    compose: Vec<&'static str>,
}

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap()
}

/// Runs a command to its end.
///
/// # Panics
/// When it fails, with what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let Output { stdout, stderr, .. } = &output;
    let [stdout, stderr] = [stdout, stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{stdout}{stderr}",
        output.status
    );
    stdout
}

/// Runs `docker` with these arguments.
pub(crate) fn docker(args: &[&str]) -> String {
    run(Command::new("docker").args(args))
}

fn works(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

impl Engine {
    /// The engine of this machine with images of the programs that are tested. `None`, which is
    /// told to whoever runs the tests, where there is no engine, or no Compose.
    pub(crate) fn get() -> Option<Arc<Self>> {
        static ENGINE: Mutex<Weak<Engine>> = Mutex::new(Weak::new());
        let mut shared = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = shared.upgrade() {
            return Some(engine);
        }
        let missing = |what: &str| {
            static SAID: Once = Once::new();
            // Not by eprintln, which shows nothing of tests that pass.
            SAID.call_once(|| {
                let line = format!("NOT TESTED: images and Compose, as there is no {what}\n");
                let _ = std::io::stderr().write_all(line.as_bytes());
            });
            None
        };
        if !works("docker", &["version"]) {
            return missing("Docker engine that answers");
        }
        let compose = match works("docker-compose", &["version"]) {
            true => vec!["docker-compose"],
            false if works("docker", &["compose", "version"]) => vec!["docker", "compose"],
            false => return missing("docker-compose, nor docker compose"),
        };
        let engine = Arc::new(Self::new(compose));
        *shared = Arc::downgrade(&engine);
        Some(engine)
    }

    fn new(compose: Vec<&'static str>) -> Self {
        let servers = ["a8-registry", "a8-controller", "a8-sidecar"].map(str::to_owned);
        let alone = DEMOS.map(|demo| format!("a8-examples-{demo}"));
        let beside = alone.clone().map(|image| image.replace("-v", "-sidecar-v"));
        let engine = Self {
            tag: format!("test-{}", std::process::id()),
            images: [&servers[..], &alone, &beside].concat(),
            compose,
        };
        let programs = binary("a8sidecar");
        engine.dockerize(programs.parent().unwrap(), &engine.images);
        engine
    }

    fn dockerize(&self, programs: &Path, images: &[String]) {
        let mut dockerize = Command::new(workspace().join("scripts/dockerize"));
        dockerize.arg(programs).args(images);
        run(dockerize.env("TAG", &self.tag).env_remove("REGISTRY"));
    }

    /// The images of the programs.
    pub(crate) fn images(&self) -> impl Iterator<Item = &str> {
        self.images.iter().map(String::as_str)
    }

    /// How an image is called.
    pub(crate) fn name(&self, image: &str) -> String {
        format!("{image}:{}", self.tag)
    }

    /// An image of the etcd of this machine, by its name.
    pub(crate) fn etcd(&self) -> String {
        let found = run(Command::new("sh").args(["-c", "command -v etcd etcdctl"]));
        let programs = found.lines().next().map(PathBuf::from).unwrap();
        let image = "a8-etcd".to_owned();
        self.dockerize(programs.parent().unwrap(), std::slice::from_ref(&image));
        self.name(&image)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let known = self
            .images()
            .chain(["a8-etcd"])
            .map(|image| self.name(image));
        let mut remove = Command::new("docker");
        // That of etcd may not have been made.
        let _ = remove.args(["rmi", "--force"]).args(known).output();
    }
}

/// What Compose has started. It is taken away at its end.
pub(crate) struct Project {
    engine: Arc<Engine>,
    name: String,
    files: Vec<&'static str>,
    /// Of the gateway, the controller and the registry, on this host.
    ports: [u16; 3],
    etcd: Option<String>,
}

impl Project {
    /// Nothing yet; `files` are all that it will be made of.
    pub(crate) fn new(engine: &Arc<Engine>, name: &str, files: &[&'static str]) -> Self {
        Self {
            engine: engine.clone(),
            name: format!("a8{name}{}", std::process::id()),
            files: files.to_vec(),
            ports: [ports::free(), ports::free(), ports::free()],
            etcd: None,
        }
    }

    /// The same over the etcd of this machine.
    pub(crate) fn over_etcd(mut self) -> Self {
        self.etcd = Some(self.engine.etcd());
        self
    }

    /// Runs Compose on some of the files.
    pub(crate) fn compose(&self, files: &[&str], args: &[&str]) -> String {
        run(self.command(files).args(args))
    }

    fn command(&self, files: &[&str]) -> Command {
        let [program, rest @ ..] = &*self.engine.compose else {
            panic!("no program");
        };
        let mut command = Command::new(program);
        command.args(rest);
        for file in files {
            command.args(["-f", &format!("examples/{file}.yaml")]);
        }
        let ports = ["A8_GATEWAY_PORT", "A8_CONTROLLER_PORT", "A8_REGISTRY_PORT"];
        let ports = ports
            .into_iter()
            .zip(self.ports.map(|port| port.to_string()));
        command
            .current_dir(workspace())
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .env("TAG", &self.engine.tag)
            .env("ETCD_IMAGE", self.etcd.as_deref().unwrap_or_default())
            .env_remove("REGISTRY")
            .envs(ports);
        command
    }

    /// The first container of a service.
    pub(crate) fn container(&self, service: &str) -> String {
        let all = self.compose(&self.files, &["ps", "-q", service]);
        all.lines().next().unwrap_or_default().to_owned()
    }

    /// The network that all are in.
    pub(crate) fn network(&self) -> String {
        format!("{}_default", self.name)
    }

    /// The way in.
    pub(crate) fn gateway(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// The command, for this project.
    pub(crate) fn a8ctl(&self) -> Command {
        let mut a8ctl = Command::new(binary("a8ctl"));
        self.tell(&mut a8ctl);
        a8ctl
    }

    /// The script of the walk, for this project.
    pub(crate) fn walk(&self) -> Command {
        let mut walk = Command::new(workspace().join("examples/walk.sh"));
        self.tell(&mut walk);
        walk.env("GATEWAY_URL", self.gateway())
            .env("A8CTL", binary("a8ctl"))
            // A busy machine fails nothing.
            .env("WALK_PATIENCE", "300")
            .env("WALK_SLACK", "60");
        walk
    }

    fn tell(&self, command: &mut Command) {
        let [_, controller, registry] = self.ports.map(|port| format!("http://127.0.0.1:{port}"));
        command
            .env("A8_CONTROLLER_URL", controller)
            .env("A8_REGISTRY_URL", registry);
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logs = self
                .command(&self.files)
                .args(["logs", "--tail=20"])
                .output();
            let logs = logs.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            eprintln!(
                "--- the last lines of {}:\n{}",
                self.name,
                logs.unwrap_or_default()
            );
        }
        let mut down = self.command(&self.files);
        let _ = down.args(["down", "-v", "-t", "1"]).output();
    }
}
