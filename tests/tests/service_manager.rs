//! The sidecar under a service manager such as systemd: it says when it is ready, lives and stops,
//! and listens on sockets that were bound before it began.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net as unix;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use a8_tests::fabric::Fabric;
use a8_tests::process::{Process, binary};
use a8_tests::server::client;
use a8_tests::{ports, wait};
use rustix::process::Signal;
use tokio::net::UnixDatagram;

/// The manager's end of sd_notify(3).
struct Manager(UnixDatagram);

impl Manager {
    fn listen(at: &Path) -> Self {
        Self(UnixDatagram::bind(at).unwrap())
    }

    fn listen_abstract(name: &str) -> Self {
        let address = unix::SocketAddr::from_abstract_name(name).unwrap();
        let socket = unix::UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(UnixDatagram::from_std(socket).unwrap())
    }

    async fn next(&self) -> String {
        let mut buffer = [0; 256];
        let received = tokio::time::timeout(wait::PATIENCE, self.0.recv(&mut buffer));
        let length = received.await.expect("to be told something").unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    }

    /// Waits until it is told `word`, and returns what it was told before that.
    async fn told(&self, word: &str) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            match self.next().await {
                said if said == word => return before,
                said => before.push(said),
            }
        }
    }
}

/// Waits until a file holds `word`, and returns what it says.
async fn holds(file: &Path, word: &str) -> String {
    wait::until(&format!("{word} in {}", file.display()), || async {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        match text.contains(word) {
            true => Ok(text),
            false => Err(text),
        }
    })
    .await
}

#[tokio::test]
async fn the_manager_is_told_of_the_life_of_a_sidecar() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (socket, seen) = (folder.path().join("notify"), folder.path().join("seen"));
    let manager = Manager::listen(&socket);
    let socket = socket.display().to_string();
    let env = [("NOTIFY_SOCKET", &*socket), ("WATCHDOG_USEC", "200000")];
    let script = format!("env > {}; exec sleep 600", seen.display());
    let args = fabric.flags(&["--", "/bin/sh", "-c", &script]);
    let mut sidecar = Process::start("a8sidecar", &args, &env);
    assert_eq!(manager.next().await, "READY=1");
    // It is ready only when there is something to route by.
    sidecar.logged("routing").await;
    for _ in 0..3 {
        assert_eq!(manager.next().await, "WATCHDOG=1");
    }
    // What the manager says to the sidecar it does not say to the command.
    let env = holds(&seen, "PWD=").await;
    assert!(
        !env.contains("NOTIFY_") && !env.contains("WATCHDOG_"),
        "{env}"
    );
    sidecar.signal(Signal::TERM);
    let before = manager.told("STOPPING=1").await;
    assert!(before.iter().all(|said| said == "WATCHDOG=1"), "{before:?}");
    assert_eq!(sidecar.exit().await.code(), Some(128 + 15));
}

#[tokio::test]
async fn a_sidecar_that_cannot_route_yet_is_ready_when_it_has_waited_enough() {
    // In the abstract namespace, as some managers of containers do.
    let socket = format!("@a8-test-{}-{}", std::process::id(), ports::free());
    let manager = Manager::listen_abstract(&socket[1..]);
    let nowhere = format!("http://127.0.0.1:{}", ports::free());
    let args = [
        "--proxy=true".to_owned(),
        "--http_listener_port=0".to_owned(),
        "--admin_port=0".to_owned(),
        "--start_timeout=300ms".to_owned(),
        format!("--registry_url={nowhere}"),
        format!("--controller_url={nowhere}"),
    ];
    let _sidecar = Process::start("a8sidecar", &args, &[("NOTIFY_SOCKET", &socket)]);
    assert_eq!(manager.next().await, "READY=1");
}

/// Starts a sidecar that is given two descriptors: its standard input and output, which a shell
/// makes those that the manager would have opened.
fn given(first: OwnedFd, second: OwnedFd, args: &[String]) -> Process {
    let mut command = Command::new("/bin/sh");
    let script =
        "exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command
        .env_clear()
        .args(["-c", script])
        .arg(binary("a8sidecar"))
        .args(args)
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second));
    Process::spawn_as_it_is("a8sidecar", command)
}

#[tokio::test]
async fn sockets_of_the_manager_outlive_the_sidecar_and_lose_no_caller() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    fabric.settled(&[&service.sidecar], 1).await;
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = |address: std::io::Result<std::net::SocketAddr>| address.unwrap().port();
    let (way_out, names) = (port(proxy.local_addr()), port(dns.local_addr()));
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("files");
    let script = format!("ls -l /proc/self/fd > {}; exec sleep 600", seen.display());
    // Of a flag that is there twice the last one counts.
    let args = fabric.flags(&[
        "--dns=true",
        "--http_listener_host=127.0.0.1",
        &format!("--http_listener_port={way_out}"),
        "--dns_host=127.0.0.1",
        &format!("--dns_port={names}"),
        "--worker_threads=2",
        "--",
        "/bin/sh",
        "-c",
        &script,
    ]);
    let url = format!("http://127.0.0.1:{way_out}/helloworld/hello");
    let sidecar = || {
        let proxy = proxy.try_clone().unwrap();
        given(proxy.into(), dns.try_clone().unwrap().into(), &args)
    };
    let mut first = sidecar();
    first
        .logged("listening on a socket of the service manager")
        .await;
    first.logged("a command was started").await;
    let answer = client().get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let asked = Command::new("dig")
        .args(["+short", "+tries=1", "@127.0.0.1", "-p", &names.to_string()])
        .arg("helloworld.amalgam8")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "127.0.0.1");
    let files = holds(&seen, "/proc/").await;
    assert!(!files.contains("socket:"), "{files}");

    first.signal(Signal::TERM);
    first.exit().await;
    // Nobody listens, and a caller waits instead of being refused.
    let caller = client().get(&url).timeout(wait::PATIENCE).send();
    let begin = async {
        // Long enough for a caller that is refused.
        tokio::time::sleep(Duration::from_millis(200)).await;
        sidecar()
    };
    let (answer, _second) = tokio::join!(caller, begin);
    assert_eq!(answer.unwrap().status(), 200);
}

#[tokio::test]
async fn a_socket_that_nothing_listens_on_is_named() {
    let fabric = Fabric::start().await;
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sidecar = given(proxy.into(), dns.into(), &fabric.flags(&[]));
    let told = "the service manager gave a socket that no setting names, closed";
    let line = sidecar.logged(told).await;
    assert!(line["socket"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn what_nothing_can_listen_on_is_named_and_no_command_inherits_it() {
    let fabric = Fabric::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = (folder.path().join("socket"), folder.path().join("file"));
    let socket = unix::UnixListener::bind(&path).unwrap();
    let stored = std::fs::File::create(&file).unwrap();
    let seen = folder.path().join("seen");
    let script = format!("ls -l /proc/self/fd > {}; exec sleep 600", seen.display());
    let args = fabric.flags(&["--", "/bin/sh", "-c", &script]);
    let sidecar = given(socket.into(), stored.into(), &args);
    sidecar
        .logged("the service manager gave a socket that no setting names, closed")
        .await;
    let files = holds(&seen, "/proc/").await;
    let file = file.display().to_string();
    assert!(
        !files.contains("socket:") && !files.contains(&file),
        "{files}"
    );
    for name in [path.display().to_string(), file] {
        wait::until(&format!("{name} to be named"), || async {
            let log = sidecar.stderr();
            log.contains(&name).then_some(()).ok_or(log)
        })
        .await;
    }
}
