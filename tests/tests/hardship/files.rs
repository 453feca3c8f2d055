//! No open files are left.

use std::process::Command;

use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::process::{Process, binary};
use a8_tests::{ports, wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT: u64 = 80;

#[tokio::test]
async fn callers_beyond_the_limit_of_open_files_wait_and_are_served() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    let (proxy, admin) = (ports::free(), ports::free());
    let mut command = Command::new("/bin/sh");
    command
        .env_clear()
        .args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")])
        .arg(binary("a8sidecar"))
        .args(["--proxy=true", "--worker_threads=1", "--log_format=json"])
        .arg(format!("--http_listener_port={proxy}"))
        .arg(format!("--admin_port={admin}"))
        .arg(format!("--registry_url={}", fabric.registry.url))
        .arg(format!("--controller_url={}", fabric.controller.url));
    let process = Process::spawn("a8sidecar", command);
    process.logged("routing").await;
    let sidecar = Sidecar::of(process, proxy, admin);
    fabric.settled(&[&sidecar], 1).await;
    let files = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", sidecar.process.id()));
        open.unwrap().count() as u64
    };
    let before = files();

    // More than there can be, each in the middle of a request.
    let mut held = Vec::new();
    for _ in 0..3 * LIMIT {
        let mut caller = TcpStream::connect(("127.0.0.1", proxy)).await.unwrap();
        let head = b"GET /helloworld/hello HTTP/1.1\r\nHost: a\r\n";
        caller.write_all(head).await.unwrap();
        held.push(caller);
    }
    wait::until("callers to be accepted", || async {
        match files() {
            open if open > before + 20 => Ok(()),
            open => Err(format!("{open} are open")),
        }
    })
    .await;
    // The admin port is not theirs to take.
    assert_eq!(sidecar.admin("/state").await["routing"], true);
    let said = sidecar.process.stderr().lines().count();
    assert!(said < 50, "{said} lines");
    for mut caller in held {
        caller
            .write_all(b"Connection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(wait::PATIENCE, caller.read_to_end(&mut answer));
        read.await.expect("an answer").unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for answer in sidecar.get_many("/helloworld/hello", 50).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
    wait::until("files to be closed", || async {
        match files() {
            open if open <= before + 20 => Ok(()),
            open => Err(format!("{open} are open, {before} were")),
        }
    })
    .await;
    drop(service);
}
