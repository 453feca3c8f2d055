use a8_common::config::{self, Exit, Input};

use super::*;
use crate::config::{COMPONENT, Config};

fn load(text: &str, more: &[&str]) -> Result<Vec<Check>, Exit> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidecar.yaml");
    let base = "proxy: true\nregistry: {url: http://r:1}\ncontroller: {url: http://c:1}\n";
    std::fs::write(&file, format!("{base}{text}\n")).unwrap();
    let args = [&["--config", file.to_str().unwrap()], more].concat();
    let loaded = config::start(&COMPONENT, &Input::from_args(args), Config::read);
    loaded.map(|config| config.checks)
}

fn kinds(checks: &[Check]) -> Vec<String> {
    checks
        .iter()
        .map(|check| format!("{:?}", check.kind))
        .collect()
}

#[test]
fn urls_stand_for_checks_with_defaults() {
    // A flag is one, whatever is in it.
    let urls = [
        "--healthchecks=http://localhost:8082/health",
        "--healthchecks=https://h/x?a=b,c",
        "--healthchecks=tcp://[::1]:5432",
        "--healthchecks=file:///bin/true",
    ];
    let checks = load("", &urls).unwrap();
    let defaults = (Duration::from_secs(30), Duration::from_secs(5));
    assert!(checks.iter().all(|c| (c.interval, c.timeout) == defaults));
    let [http, https, tcp, file] = &kinds(&checks)[..] else {
        panic!("four checks")
    };
    assert!(http.contains("method: GET, code: 200"), "{http}");
    assert!(https.contains("https://h/x?a=b,c"), "{https}");
    assert_eq!(tcp, "Tcp { address: \"[::1]:5432\" }");
    assert_eq!(
        file,
        "Command { program: \"/bin/true\", args: [], code: 0 }"
    );
}

#[test]
fn tables_say_more() {
    let text = "healthchecks:\n\
        - {type: https, value: 'https://h/', method: post, code: 204, interval: 15s, timeout: 1s, ca_cert_file: ca.pem}\n\
        - {type: file, value: /check.sh, args: [a, 'b c'], code: 3}\n\
        - {type: tcp, value: 'db:5432'}\n\
        - {value: 'http://h/'}\n";
    let checks = load(text, &[]).unwrap();
    assert_eq!(checks[0].interval, Duration::from_secs(15));
    assert_eq!(checks[0].timeout, Duration::from_secs(1));
    let kinds = kinds(&checks);
    assert!(
        kinds[0].contains("method: POST, code: 204, ca_cert_file: Some(\"ca.pem\")"),
        "{kinds:?}"
    );
    assert!(
        kinds[1].contains("args: [\"a\", \"b c\"], code: 3"),
        "{kinds:?}"
    );
    assert!(
        kinds[2].contains("db:5432") && kinds[3].starts_with("Http"),
        "{kinds:?}"
    );
}

#[test]
fn everything_that_is_wrong_is_named_with_its_place() {
    let text = "healthchecks:\n\
        - {type: ping, value: h}\n\
        - {type: tcp, value: h}\n\
        - {type: http, value: h}\n\
        - {type: http, value: 'http://h/', code: 99, method: 'A B', interval: soon, timeout: 1ms}\n\
        - {type: tcp, value: 'h:1', args: [a], ca_cert_file: x}\n\
        - {type: file, value: /c, code: 256}\n\
        - {value: 'gopher://h/'}\n\
        - {type: http, value: 'http://h/', every: 1s}\n\
        - 'http://localhost:99999/'\n\
        - 'file://elsewhere/bin/true'\n\
        - 'file:///bin/check?quick'\n\
        - 'file://localhost'\n\
        - 'file:///%FF'\n\
        - 'http:///h'\n";
    let exit = load(text, &[]).unwrap_err();
    assert_eq!(exit.code(), 64);
    let told = exit.to_string();
    for wanted in [
        "[0].type: \"ping\"",
        "[1].value: \"h\" is not host:port",
        "[2].value: \"h\" is not an http URL",
        "[3].code: 99",
        "[3].method: \"A B\"",
        "[3].interval: \"soon\"",
        "[3].timeout: 1ms",
        "[4].args: is not for the type tcp",
        "[4].ca_cert_file: is not for the type tcp",
        "[5].code: 256 is no exit code",
        "[6].value: \"gopher\"",
        "[7]: unknown field `every`",
        "[8].value: \"http://localhost:99999/\" is not an http URL: invalid port",
        "[9].value: \"file://elsewhere/bin/true\" is of the host \"elsewhere\"",
        "[10].value: \"file:///bin/check?quick\" is not a path",
        "[11].value: names no command",
        "[12].value: \"file:///%FF\" is not a path in UTF-8",
        "[13].value: \"http:///h\" is not an http URL",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[test]
fn what_a_check_is_called_holds_no_secrets() {
    let url = "http://user:hush@h/x?token=hush";
    let checks = load("", &[&format!("--healthchecks={url}")]).unwrap();
    assert_eq!(checks[0].name, "http://***@h/x?token=***");
    assert!(matches!(&checks[0].kind, Kind::Http { url: asked, .. } if asked == url));
    let text = "healthchecks: [{type: https, value: 'http://user:hush@h/'}, 'tcp://user:hush@h']";
    let told = load(text, &[]).unwrap_err().to_string();
    assert!(
        told.contains("http://***@h/") && !told.contains("hush"),
        "{told}"
    );
}

#[test]
fn checks_that_would_be_called_alike_are_numbered() {
    let text = "healthchecks:\n\
        - {type: file, value: /bin/sh, args: [-c, 'exit 1']}\n\
        - {type: http, value: 'http://h/?token=a'}\n\
        - {type: file, value: /bin/sh, args: [-c, 'exit 0']}\n\
        - {type: file, value: /bin/sh}\n\
        - {type: http, value: 'http://h/?token=b', method: POST}\n";
    let checks = load(text, &[]).unwrap();
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    let shell = ["/bin/sh", "/bin/sh-2", "/bin/sh-3"];
    let url = ["http://h/?token=***", "http://h/?token=***-2"];
    assert_eq!(names, [shell[0], url[0], shell[1], shell[2], url[1]]);
}

#[test]
fn urls_are_read_as_their_standards_say() {
    let urls = [
        "--healthchecks=HTTP://h/",
        "--healthchecks=Https://h/",
        "--healthchecks=TCP://h:1",
        "--healthchecks=FILE:///my%20check",
        "--healthchecks=file://localhost/bin/true",
    ];
    let checks = load("", &urls).unwrap();
    let told = kinds(&checks).join("\n");
    for wanted in [
        "Http { url: \"http://h/\"",
        "Http { url: \"https://h/\"",
        "Tcp { address: \"h:1\" }",
        "program: \"/my check\"",
        "program: \"/bin/true\"",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    // What is no URL is not decoded.
    let text = "healthchecks: [{type: file, value: '/a%20b'}]";
    assert!(kinds(&load(text, &[]).unwrap())[0].contains("/a%20b"));
}
