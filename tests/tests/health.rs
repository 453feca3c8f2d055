//! `--check_health`: a program asks another process of it, by the same settings.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::process::Command;

use a8_tests::fabric::{Fabric, Sidecar};
use a8_tests::ports;
use a8_tests::process::binary;

/// The exit code, and the line that was said with it.
fn ask(program: &str, args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(binary(program));
    let command = command.args(args).env_clear();
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let said = match output.status.success() {
        true => output.stdout,
        false => output.stderr,
    };
    let said = String::from_utf8(said).unwrap();
    (output.status.code(), said.trim_end().to_owned())
}

fn port_of(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

#[tokio::test]
async fn servers_and_services_answer() {
    let fabric = Fabric::start().await;
    let service = fabric.service("helloworld", "v1", &[], false).await;
    let [registry, controller, hello] =
        [&fabric.registry.url, &fabric.controller.url, &service.url].map(|url| port_of(url));
    for (program, variable, port) in [
        ("a8registry", "A8_API_PORT", registry),
        ("a8controller", "A8_API_PORT", controller),
        ("helloworld", "PORT", hello),
    ] {
        for flag in ["--check_health", "--check-health"] {
            let (code, said) = ask(program, &[flag], &[(variable, port)]);
            let url = format!("http://127.0.0.1:{port}/health: 200 ");
            assert_eq!(code, Some(0), "{said}");
            assert!(
                said.starts_with(&url) && said.lines().count() == 1,
                "{said}"
            );
        }
        let nobody = ports::free().to_string();
        let (code, said) = ask(program, &["--check_health"], &[(variable, &nobody)]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("refused"), "{said}");
    }
    let port = format!("--api_port={registry}");
    let (code, said) = ask("a8registry", &["--check_health=ready", &port], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("/ready: 200 "), "{said}");
    // The process alone knows which one it took.
    let (code, said) = ask("a8registry", &["--check_health", "--api_port=0"], &[]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("--api_port"), "{said}");
}

#[tokio::test]
async fn a_sidecar_lives_before_it_is_ready() {
    let (proxy, admin, nobody) = (ports::free(), ports::free(), ports::free());
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "proxy: true\nregistry: {{url: 'http://127.0.0.1:{nobody}'}}\n\
         controller: {{url: 'http://127.0.0.1:{nobody}'}}\n\
         proxy_config: {{http_listener_port: {proxy}, admin_port: {admin}}}\n"
    );
    std::fs::write(file.path(), text).unwrap();
    let _sidecar = Sidecar::begin(file.path(), proxy, admin).await;
    let config = [("A8_CONFIG", file.path().to_str().unwrap())];
    let (code, said) = ask("a8sidecar", &["--check_health"], &config);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ask("a8sidecar", &["--check_health=ready"], &config);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("/ready: 503 "), "{said}");
    // Without the file it cannot know who is meant, but it needs nothing else to ask.
    let port = admin.to_string();
    let (code, said) = ask(
        "a8sidecar",
        &["--check_health"],
        &[("A8_ADMIN_PORT", &port)],
    );
    assert_eq!(code, Some(0), "{said}");
}
