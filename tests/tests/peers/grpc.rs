//! gRPC from end to end, and the sidecar's own replies to its callers.

use a8_tests::process::Process;
use a8_tests::{ports, wait::PATIENCE};
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::callers::Both;
use crate::faulty::{Faulty, Then};
use crate::instances;
use crate::setup::{Running, Setup};
use crate::tools;

/// Starts servers as instances of `grpc`, in clear, and `grpc-tls`.
async fn servers(setup: &mut Setup) -> [Process; 2] {
    let [plain, tls] = [ports::free(), ports::free()];
    setup.instance("grpc", "http", format!("127.0.0.1:{plain}"));
    setup.instance("grpc-tls", "https", format!("127.0.0.1:{tls}"));
    let mut clear = tools::python("grpc_server.py");
    clear.arg(plain.to_string());
    let mut secure = tools::python("grpc_server.py");
    secure.arg(tls.to_string());
    secure.args([&setup.papers.key, &setup.papers.chain]);
    let processes = [clear, secure].map(|command| tools::serve("grpc_server.py", command));
    instances::listens(plain).await;
    instances::listens(tls).await;
    processes
}

/// One check of the client's, which says of itself what went wrong; what it wrote.
async fn check(setup: &Setup, sidecar: &Running, name: &str, service: &str) -> String {
    let mut command = tools::python("grpc_client.py");
    command.args([&format!("localhost:{}", sidecar.port), name, service]);
    if sidecar.tls {
        command.arg(&setup.papers.authority);
    }
    let mut command = Command::from(command);
    let done = timeout(PATIENCE * 2, command.kill_on_drop(true).output());
    let done = done
        .await
        .unwrap_or_else(|_| panic!("{name} has no end"))
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let tls = if sidecar.tls { " under TLS" } else { "" };
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{name} of {service}{tls}: {said}{complaint}"
    );
    said
}

#[tokio::test]
async fn every_kind_of_call_and_every_outcome_comes_through() {
    let mut setup = Setup::new();
    let servers = servers(&mut setup).await;
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for sidecar in [&both.plain, &both.tls] {
        for service in ["grpc", "grpc-tls"] {
            for name in ["unary", "streams", "large", "many", "failures", "deadlines"] {
                check(&setup, sidecar, name, service).await;
            }
        }
    }
    drop(servers);
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn what_the_sidecar_says_itself_has_a_status_of_grpc() {
    let mut setup = Setup::new();
    let silent = Faulty::new("", Then::Stall).await;
    let broken = Faulty::new("", Then::Close).await;
    setup.instance("refused", "http", format!("127.0.0.1:{}", ports::free()));
    setup.instance("empty", "http", "127.0.0.1:9");
    setup.instance("silent", "http", silent.address);
    setup.instance("broken", "http", broken.address);
    setup.rule(json!({"destination": "empty", "route": {"backends": [{"tags": ["v2"]}]}}));
    let backends = json!([{"tags": ["v1"]}]);
    let route = json!({"backends": backends, "http_req_timeout": 0.3});
    setup.rule(json!({"destination": "silent", "route": route}));
    let both = Both::start(&setup).await;
    for sidecar in [&both.plain, &both.tls] {
        for (service, code, word) in [
            ("nobody", "UNIMPLEMENTED", "no such service"),
            ("empty", "UNAVAILABLE", "empty"),
            ("refused", "UNAVAILABLE", "connect"),
            ("broken", "UNAVAILABLE", "connection"),
            ("silent", "DEADLINE_EXCEEDED", "0.3 s"),
        ] {
            let said = check(&setup, sidecar, code, service).await;
            assert!(said.contains(word), "{service}: {said}");
        }
    }
}
