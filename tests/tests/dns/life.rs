//! The server among others: programs that resolve by it, instances that come and go, its end.

use a8_tests::fabric::Fabric;
use a8_tests::process::{Process, binary};
use a8_tests::wait;
use rustix::process::Signal;

use super::*;

#[tokio::test]
async fn the_c_library_resolves_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), &shop(), json!({"port": 53}), ports::free());
    // In a network, and with a resolv.conf, of its own: resolvers know port 53 only.
    let script = r#"
        ip link set lo up
        # The loopback alone is no reason to ask for addresses of a family.
        ip address add 192.0.2.1/32 dev lo
        ip address add 2001:db8::1/128 dev lo nodad
        printf 'nameserver 127.0.0.1\nsearch amalgam8\noptions timeout:1 attempts:5\n' >"$0/resolv.conf"
        printf 'hosts: dns\n' >"$0/nsswitch.conf"
        for file in resolv.conf nsswitch.conf; do
            [ ! -e /etc/$file ] || mount --bind "$0/$file" /etc/$file
        done
        "$1" --config="$2" &
        trap 'kill $!; wait $!' EXIT
        for try in $(seq 300); do
            ! getent ahostsv4 v1.reviews.amalgam8 >/dev/null || break
            sleep 0.2
        done
        getent ahostsv4 v1.reviews.amalgam8 | grep STREAM
        getent ahostsv6 reviews.amalgam8 | grep STREAM
        getent ahostsv4 v2.reviews | grep STREAM
        getent ahostsv4 many.amalgam8 | grep -c STREAM
        getent ahosts nobody.amalgam8 || echo "nobody: $?"
    "#;
    let run = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "--net",
            "/bin/sh",
            "-c",
            script,
        ])
        .args([folder.path(), &binary("a8sidecar"), &config])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    let lines = told
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines: Vec<_> = lines.collect();
    let want = [
        &["10.0.0.1", "STREAM", "v1.reviews.amalgam8"][..],
        &["fd00::2", "STREAM", "reviews.amalgam8"],
        &["10.0.0.2", "STREAM", "v2.reviews.amalgam8"],
        &["100"],
        &["nobody:", "2"],
    ];
    assert_eq!(lines, want, "{told}\n{errors}");
}

#[tokio::test]
async fn what_registers_is_found_and_what_leaves_is_not() {
    let fabric = Fabric::start().await;
    let (port, admin) = (ports::free(), ports::free());
    let config = json!({
        "dns": true,
        "dnsconfig": {"port": port, "domain": "svc.example"},
        "registry": {"url": fabric.registry.url},
        "proxy_config": {"admin_port": admin},
    });
    let file = fabric.folder.path().join("dns.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let _sidecar = Sidecar::start(&file, 0, admin).await;
    let becomes = |want: &'static [&'static str]| {
        wait::until("another answer", move || async move {
            let found = short(port, "web.svc.example");
            (found == want).then_some(()).ok_or(format!("{found:?}"))
        })
    };
    becomes(&[]).await;
    let new = json!({
        "service_name": "web", "ttl": 60, "tags": [],
        "endpoint": {"type": "http", "value": "10.0.0.1:80"},
    });
    let answer = fabric.registry.post("/api/v1/instances", &new).await;
    let id = answer.expect(201).json()["id"].as_str().unwrap().to_owned();
    becomes(&["10.0.0.1"]).await;
    assert_eq!(short(port, &format!("{id}.web.svc.example")), ["10.0.0.1"]);
    let path = format!("/api/v1/instances/{id}");
    fabric.registry.delete(&path).await.expect(200);
    becomes(&[]).await;
}

#[tokio::test]
async fn a_taken_port_ends_it_with_the_setting_and_a_signal_in_order() {
    let mut first = Server::start(&shop()).await;
    let admin = ports::free();
    let config = write(
        first.folder.path(),
        &shop(),
        json!({"port": first.port}),
        admin,
    );
    let args = [format!("--config={}", config.display())];
    let mut second = Process::start("a8sidecar", &args, &[]);
    assert_eq!(second.exit().await.code(), Some(1));
    // What it said last is read a moment after its end.
    wait::until("the setting to be named", || async {
        let told = second.stderr();
        told.contains("dns_port").then_some(()).ok_or(told)
    })
    .await;
    first.sidecar.process.signal(Signal::TERM);
    assert_eq!(first.sidecar.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn it_says_how_far_it_has_come_without_a_proxy() {
    let server = Server::start(&shop()).await;
    let state = server.sidecar.admin("/state").await;
    let instances = &state["instances"];
    assert_eq!(
        (&instances["items"], &instances["held"]),
        (&json!(105), &json!(0))
    );
    assert_eq!(instances["connected"], true);
    assert!(state.get("rules").is_none(), "{state}");
    let metrics = reqwest::get(format!("{}/metrics", server.sidecar.admin)).await;
    let metrics = metrics.unwrap().text().await.unwrap();
    let line = "a8_control_plane_connected{kind=\"instances\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    assert!(!metrics.contains("kind=\"rules\""), "{metrics}");
}
