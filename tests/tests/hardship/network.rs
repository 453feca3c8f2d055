//! There is no network when the sidecar starts, and later another address.

use std::process::Command;

use a8_tests::fabric::Sidecar;
use a8_tests::net::Network;
use a8_tests::process::{Process, binary};
use a8_tests::server::Server;
use a8_tests::{ports, wait};
use serde_json::{Value, json};

fn on_host(network: &Network, name: &str, args: &[String]) -> Process {
    let words = network.inside(0);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).arg(binary(name)).args(args);
    Process::spawn(name, command)
}

/// Waits until the registry knows one instance, which is at `endpoint`.
async fn registered(registry: &Server, endpoint: &str) {
    wait::until(&format!("an instance at {endpoint}"), || async {
        let list = registry.get("/api/v1/instances").await.expect(200).json();
        let values = list["instances"].as_array().unwrap().iter();
        let values: Vec<_> = values.map(|i| i["endpoint"]["value"].clone()).collect();
        match values == [Value::from(endpoint)] {
            true => Ok(()),
            false => Err(list.to_string()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_sidecar_starts_without_a_network_and_follows_its_address() {
    let Some(network) = Network::new(1) else {
        return;
    };
    let address = network.address(0);
    let registry = Server::registry(&[]).await;
    let controller = Server::controller(&[]).await;
    let at_ours = |url: &str| url.replace("127.0.0.1", &network.near());
    network.cut(0);
    network.readdress(0, None);

    let (service, proxy, admin) = (ports::free(), ports::free(), ports::free());
    let args = ["--host=0.0.0.0".to_owned(), format!("--port={service}")];
    let _service = on_host(&network, "helloworld", &args);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidecar.yaml");
    let config = json!({
        "service": {"name": "helloworld", "tags": ["version=v1"]},
        "register": true, "proxy": true, "endpoint": {"port": service, "type": "http"},
        "registry": {"url": at_ours(&registry.url)},
        "controller": {"url": at_ours(&controller.url)},
        "proxy_config": {"http_listener_port": proxy, "admin_port": admin,
            "admin_host": "0.0.0.0", "start_timeout": "1s"},
    });
    std::fs::write(&file, config.to_string()).unwrap();
    let args = [
        format!("--config={}", file.display()),
        "--log_format=json".to_owned(),
    ];
    let process = on_host(&network, "a8sidecar", &args);
    process
        .logged("there is nothing to route by yet, goes on all the same")
        .await;

    network.readdress(0, Some(&address));
    network.heal(0);
    registered(&registry, &format!("{address}:{service}")).await;
    let sidecar = Sidecar::at(process, &address, proxy, admin);
    wait::until("a call", || async {
        sidecar.get("/helloworld/hello", None).await.map(drop)
    })
    .await;

    let other = network.address(7);
    network.readdress(0, Some(&other));
    registered(&registry, &format!("{other}:{service}")).await;
    let sidecar = Sidecar::at(sidecar.process, &other, proxy, admin);
    wait::until("a call at the new address", || async {
        sidecar.get("/helloworld/hello", None).await.map(drop)
    })
    .await;
    for answer in sidecar.get_many("/helloworld/hello", 50).await {
        assert!(answer.is_ok(), "{answer:?}");
    }
}
