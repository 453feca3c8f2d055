//! WebSockets: what changes its protocol after the head is passed on as it comes.

use std::process::Stdio;

use a8_tests::process::Process;
use a8_tests::{ports, wait::PATIENCE};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::callers::Both;
use crate::instances;
use crate::setup::{Running, Setup};
use crate::tools;

async fn server(setup: &mut Setup) -> Process {
    let port = ports::free();
    setup.instance("ws", "http", format!("127.0.0.1:{port}"));
    let mut command = tools::python("ws_server.py");
    command.arg(port.to_string());
    let process = tools::serve("ws_server.py", command);
    instances::listens(port).await;
    process
}

/// The client, about to make one of its checks.
fn client(setup: &Setup, sidecar: &Running, name: &str) -> Command {
    let mut command = tools::python("ws_client.py");
    let scheme = if sidecar.tls { "wss" } else { "ws" };
    command.args([&format!("{scheme}://127.0.0.1:{}/ws", sidecar.port), name]);
    if sidecar.tls {
        command.arg(&setup.papers.authority);
    }
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}

#[tokio::test]
async fn messages_and_ends_come_through_both_ways() {
    let mut setup = Setup::new();
    let server = server(&mut setup).await;
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for sidecar in [&both.plain, &both.tls] {
        for name in [
            "messages",
            "unasked",
            "protocols",
            "closing",
            "refusals",
            "many",
        ] {
            let mut command = client(&setup, sidecar, name);
            let done = timeout(PATIENCE, command.output()).await;
            let done = done
                .unwrap_or_else(|_| panic!("{name} has no end"))
                .unwrap();
            let complaint = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{name}: {complaint}");
        }
    }
    // What was closed by the peers is closed, though the server is still there.
    both.plain.no_more_than(before[0] + 1).await;
    both.tls.no_more_than(before[1] + 1).await;
    drop(server);
}

#[tokio::test]
async fn a_peer_that_is_gone_takes_the_connection_with_it() {
    let mut setup = Setup::new();
    let server = server(&mut setup).await;
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    let mut left = Vec::new();
    for sidecar in [&both.plain, &both.tls] {
        let open = async || {
            let mut command = client(&setup, sidecar, "abandoned");
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut client = command.spawn().unwrap();
            let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
            let said = timeout(PATIENCE, lines.next_line()).await.unwrap();
            assert_eq!(said.unwrap().as_deref(), Some("x"));
            client
        };
        let mut killed = open().await;
        left.push(open().await);
        killed.kill().await.unwrap();
    }
    // Two sockets each for those who are still there.
    both.plain.no_more_than(before[0] + 2).await;
    both.tls.no_more_than(before[1] + 2).await;
    drop(server);
    for client in left {
        let done = timeout(PATIENCE, client.wait_with_output()).await.unwrap();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}
