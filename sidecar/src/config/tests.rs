mod dns;

use a8_common::config::{self, Exit, Input};

use a8_common::model::EndpointType;

use super::*;

fn load(args: &[&str]) -> Result<Config, Exit> {
    config::start(&COMPONENT, &Input::from_args(args), Config::read)
}

const SERVERS: [&str; 2] = ["--registry_url=http://r:1", "--controller_url=http://c:1"];

fn with_servers(more: &[&str]) -> Result<Config, Exit> {
    load(&[&SERVERS[..], more].concat())
}

fn with_file(text: &str) -> Result<Config, Exit> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidecar.yaml");
    std::fs::write(&file, text).unwrap();
    with_servers(&["--config", file.to_str().unwrap()])
}

#[test]
fn the_documented_defaults() {
    let config = with_servers(&["--proxy", "--service=web:v1,zone=eu"]).unwrap();
    assert_eq!(config.itself.identity().to_string(), "web:v1,zone=eu");
    assert_eq!(config.admin, "127.0.0.1:8001".parse().unwrap());
    assert_eq!(config.drain_timeout, Duration::from_secs(15));
    let proxy = config.proxy.unwrap();
    assert_eq!(proxy.listen, Listen::Any(6379));
    assert_eq!(proxy.access_log, AccessLog::Stdout);
    assert_eq!(&*proxy.domain, "amalgam8");
    assert!(proxy.workers >= 1);
    assert!(
        matches!(proxy.rules, Source::Amalgam8 { poll, .. } if poll == Duration::from_secs(15))
    );
}

#[test]
fn the_file_says_the_same_in_its_own_way() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidecar.yaml");
    let text = "service:\n  name: web\n  tags: [v1]\nregister: true\nproxy: true\n\
        endpoint:\n  host: 10.0.0.9\n  port: 9080\n  type: https\n\
        discovery_adapter: filesystem\ndiscovery:\n  path: /i.yaml\n\
        rules_adapter: filesystem\nrules:\n  path: /r.yaml\n\
        registry:\n  url: http://r:1\n  token: hush\n\
        proxy_config:\n  http_listener_port: 0\n  worker_threads: 2\n  access_log: off\n";
    std::fs::write(&file, text).unwrap();
    // YAML reads a bare `off` as a text here, not as a boolean.
    let config = load(&["--config", file.to_str().unwrap()]).unwrap();
    assert!(config.register.is_some());
    let itself = config.itself;
    assert_eq!(
        (itself.host.as_deref(), itself.port, itself.kind),
        (Some("10.0.0.9"), Some(9080), Some(EndpointType::Https))
    );
    let proxy = config.proxy.unwrap();
    assert_eq!((proxy.listen, proxy.workers), (Listen::Any(0), 2));
    assert_eq!(proxy.access_log, AccessLog::Off);
    assert!(matches!(proxy.rules, Source::Filesystem(p) if p == Path::new("/r.yaml")));
    assert_eq!(config.shown["registry"]["token"], "***");
}

#[test]
fn what_is_missing_is_said_all_at_once() {
    let exit = load(&["--proxy", "--register", "--rules_adapter=filesystem"]).unwrap_err();
    assert_eq!(exit.code(), 64);
    for name in ["service", "endpoint_port", "registry_url", "rules_path"] {
        let lines = exit.to_string();
        let said = lines.lines().filter(|line| line.contains(name));
        assert_eq!(said.count(), 1, "{name}: {exit}");
    }
    let file = "--discovery_adapter=filesystem";
    let register = load(&["--register", file, "--service=a", "--endpoint_port=1"]).unwrap_err();
    assert!(
        register.to_string().contains("is needed to register"),
        "{register}"
    );
    let wrong = with_servers(&["--register", "--service=:", "--endpoint_port=x"]).unwrap_err();
    assert_eq!(wrong.to_string().lines().count(), 3, "{wrong}");
    // What may have been meant to be on is looked at as if it were.
    let text = "proxy: maybe\ndns: perhaps\ndnsconfig: {host: here}\n\
                proxy_config: {affinity_key: short, tcp_proxies: [{}, {}]}\n";
    let switches = with_file(text).unwrap_err().to_string();
    for told in [
        "proxy (",
        "dns (",
        "dnsconfig.host (",
        "affinity_key (",
        "at [0]: ",
        "at [1]: ",
    ] {
        assert!(switches.contains(told), "{told}: {switches}");
    }
    let nothing = load(&[]).unwrap_err().to_string();
    assert!(nothing.contains("nothing to do"), "{nothing}");
    let port = with_servers(&["--register", "--service=a"])
        .unwrap_err()
        .to_string();
    assert!(port.contains("endpoint_port"), "{port}");
}

#[test]
fn an_endpoint_that_no_registry_takes_is_refused() {
    let read = |host: &str, kind: &str| {
        let args = [
            "--register",
            "--service=a",
            "--endpoint_port=80",
            &format!("--endpoint_host={host}"),
            &format!("--endpoint_type={kind}"),
        ];
        with_servers(&args)
    };
    for (host, kind) in [
        ("a b", "http"),
        ("http://x", "udp"),
        ("1.2.3.4:5", "http"),
        ("fe80::1%eth0", "http"),
        ("", "tcp"),
    ] {
        let exit = read(host, kind).unwrap_err();
        assert_eq!(exit.code(), 64);
        let named = exit.to_string().contains("--endpoint_host (command line)");
        assert!(named, "{host} {kind}: {exit}");
    }
    for (host, kind) in [("10.0.0.1", "udp"), ("::1", "tcp"), ("web.example", "http")] {
        let config = read(host, kind).unwrap();
        assert_eq!(config.itself.host.as_deref(), Some(host));
    }
}

#[cfg(feature = "kubernetes")]
#[test]
fn a_cluster_needs_neither_registry_nor_controller() {
    let adapters = [
        "--discovery_adapter=kubernetes",
        "--rules_adapter=kubernetes",
    ];
    let config = load(&[&["--proxy", "--service=a"], &adapters[..]].concat()).unwrap();
    assert!(config.remarks.is_empty(), "{:?}", config.remarks);
    assert!(matches!(config.instances, Some(Source::Kubernetes)));
    assert!(matches!(config.proxy.unwrap().rules, Source::Kubernetes));
    // The pod says who it is, and where it listens.
    let pod = [
        "--register",
        "--kubernetes_pod_name=web-1",
        "--kubernetes-namespace=shop",
    ];
    let config = with_servers(&pod).unwrap();
    assert_eq!(config.pod.as_deref(), Some("web-1"));
    assert_eq!(config.kubernetes.namespace.as_deref(), Some("shop"));
    let exit = with_servers(&[
        "--proxy",
        "--kubernetes_pod_name=a",
        "--kubernetes_namespace=A b",
    ]);
    let exit = exit.unwrap_err().to_string();
    assert!(
        exit.contains("kubernetes_namespace") && exit.contains("\"A b\""),
        "{exit}"
    );
}

#[test]
fn the_proxy_and_the_admin_port_do_not_share_an_address() {
    for hosts in [
        &[][..],
        &["--http_listener_host=127.0.0.1"],
        &["--http_listener_host=10.0.0.1", "--admin_host=0.0.0.0"],
        &["--http_listener_host=::", "--admin_host=10.0.0.1"],
    ] {
        let same = [&["--proxy", "--http_listener_port=8001"], hosts].concat();
        let exit = with_servers(&same).unwrap_err().to_string();
        let told = exit.contains("http_listener_port") && exit.contains("8001 is the admin_port");
        assert!(told, "{hosts:?}: {exit}");
    }
    for apart in [
        &["--http_listener_port=8001", "--http_listener_host=10.0.0.1"][..],
        &["--http_listener_port=0", "--admin_port=0"],
    ] {
        with_servers(&[&["--proxy"], apart].concat()).unwrap();
    }
}

#[test]
fn what_would_silently_not_work_is_refused() {
    for more in [
        &["--proxy_adapter=envoy"][..],
        &["--discovery_adapter=eureka", "--eureka_url=http://e:1"],
    ] {
        let args = [&["--proxy", "--service=a"], more].concat();
        let exit = with_servers(&args).unwrap_err();
        let text = exit.to_string();
        assert_eq!(exit.code(), 64, "{more:?}");
        assert!(
            text.contains("not available in this version"),
            "{more:?}: {text}"
        );
    }
}

#[test]
fn what_has_no_effect_is_said_and_let_pass() {
    let config = with_servers(&[
        "--proxy",
        "--service=a",
        "--supervise",
        "--kubernetes_namespace=x",
        "--rules_path=/r.yaml",
        "--endpoint_port=1",
        "--proxy_private_key_file=/k",
        "--proxy_ca_cert_file=/c",
    ]);
    let remarks = config.unwrap().remarks;
    let named: Vec<_> = remarks.iter().map(|r| r.split(' ').next()).collect();
    let wanted = [
        "supervise",
        "kubernetes_namespace",
        "proxy_private_key_file",
        "rules_path",
        "endpoint_port",
    ];
    assert_eq!(named, wanted.map(Some), "{remarks:?}");
    let quiet = with_servers(&["--proxy", "--service=a"]).unwrap();
    assert!(quiet.remarks.is_empty(), "{:?}", quiet.remarks);
    let gateway = with_servers(&["--proxy"]).unwrap();
    assert!(
        gateway.remarks[0].contains("no service"),
        "{:?}",
        gateway.remarks
    );
}

#[test]
fn the_key_of_affinity_is_a_secret_of_some_length() {
    let proxy = |more: &[&str]| with_servers(&[&["--proxy"], more].concat());
    assert!(proxy(&[]).unwrap().proxy.unwrap().affinity_key.is_none());
    let config = proxy(&["--affinity_key=0123456789abcdef"]).unwrap();
    assert_eq!(config.shown["proxy_config"]["affinity_key"], "***");
    let key = config.proxy.unwrap().affinity_key.unwrap();
    assert_eq!(key.expose(), "0123456789abcdef");
    let refused = proxy(&["--affinity_key=0123456789abcde"]).unwrap_err();
    assert!(refused.to_string().contains("at least 16"), "{refused}");
    assert!(!refused.to_string().contains("abcde"), "{refused}");
}

#[test]
fn the_access_log_goes_where_it_is_told() {
    let file = |path: &str| AccessLog::File(path.into());
    for (target, folder, want) in [
        (None, None, AccessLog::Stdout),
        (Some("stdout"), Some("/var/log"), AccessLog::Stdout),
        (Some("off"), Some("/var/log"), AccessLog::Off),
        (Some("a.log"), None, file("a.log")),
        (Some("a.log"), Some("/var/log"), file("/var/log/a.log")),
        (Some("/x/a.log"), Some("/var/log"), file("/x/a.log")),
        (None, Some("/var/log"), file("/var/log/a8_access.log")),
    ] {
        assert_eq!(access_log(target, folder), want, "{target:?} {folder:?}");
    }
}

#[test]
fn tcp_proxies_listen_where_the_http_listener_does() {
    let read = |host: &str| {
        let text = format!(
            "proxy: true\nproxy_config:\n  {host}\n  tcp_proxies:\n  \
             - {{service: db, listener_port: 5432}}\n  - {{service: db, listener_port: 0}}\n  \
             - {{service: any, listener_port: 0}}\n"
        );
        let tcp = with_file(&text).unwrap().proxy.unwrap().tcp;
        let all = tcp.iter().map(|t| (t.service.to_string(), t.listen));
        all.collect::<Vec<_>>()
    };
    let with = |at: fn(u16) -> Listen| {
        [("db", 5432), ("db", 0), ("any", 0)].map(|(name, port)| (name.to_owned(), at(port)))
    };
    assert_eq!(read(""), with(Listen::Any));
    let loopback = |port| Listen::At(SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(read("http_listener_host: 127.0.0.1"), with(loopback));
    assert!(
        with_servers(&["--proxy"])
            .unwrap()
            .proxy
            .unwrap()
            .tcp
            .is_empty()
    );
}

#[test]
fn a_tcp_proxy_that_cannot_be_is_named_with_its_path() {
    for (entries, told) in [
        (
            "{service: a, listener_port: 1}, {service: b, listener_port: 1}",
            "[1].listener_port: 1 is the port of [0]",
        ),
        (
            "{service: a, listener_port: 6379}",
            "[0].listener_port: 6379 is the http_listener_port",
        ),
        (
            "{service: a, listener_port: 8001}",
            "[0].listener_port: 8001 is the admin_port",
        ),
        (
            "{service: a, listener_port: 70000}",
            "[0].listener_port: invalid value",
        ),
        ("{service: a}", "[0]: missing field `listener_port`"),
        ("{service: '', listener_port: 1}", "[0].service: "),
        (
            "{service: a, listener_port: 1, tags: v1}",
            "[0].tags: unknown field",
        ),
    ] {
        let text = format!("proxy: true\nproxy_config: {{tcp_proxies: [{entries}]}}");
        let exit = with_file(&text).unwrap_err();
        assert_eq!(exit.code(), 64);
        let exit = exit.to_string();
        assert!(
            exit.contains("proxy_config.tcp_proxies"),
            "{entries}: {exit}"
        );
        assert!(exit.contains(told), "{entries}: {exit}");
    }
}
