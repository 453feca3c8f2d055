mod input;

use std::time::Duration;

use serde::Deserialize;

use super::*;

const REGISTRY: Group = Group {
    title: "Registry",
    settings: &[
        Setting::new("registry_url", Kind::Urls, "Where the registry is").at("registry.url"),
        Setting::new("registry_token", Kind::Text, "Its token")
            .at("registry.token")
            .secret(),
        Setting::new(
            "registry_poll",
            Kind::Duration {
                min: Duration::from_secs(1),
                max: Duration::from_secs(3600),
            },
            "How often it is asked",
        )
        .at("registry.poll")
        .or("15s"),
    ],
};

const REST: Group = Group {
    title: "Rest",
    settings: &[
        Setting::new("proxy", Kind::Bool, "Run the proxy").or("false"),
        Setting::new("host", Kind::Text, "Where it listens").or("0.0.0.0"),
        Setting::new("dns_port", Kind::Port, "Port of the DNS server")
            .at("dnsconfig.port")
            .or("8053"),
        Setting::new("store", Kind::Choice(&["memory", "embedded"]), "The store").or("memory"),
        Setting::new("capacity", Kind::Integer { min: -1, max: 10 }, "Bound").or("-1"),
        Setting::new("service", Kind::TextOrSection, "Who this is"),
        Setting::new("healthchecks", Kind::ListOrSection, "What to check"),
        Setting::new("commands", Kind::Section, "What to supervise"),
    ],
};

const COMPONENT: Component = Component {
    name: "a8test",
    about: "A component for tests",
    version: "1.2.3",
    groups: &[&REGISTRY, &REST],
    health: Place {
        host: "host",
        port: "dns_port",
    },
    trailing: Some("The command to supervise"),
};

fn load<T>(input: &Input, read: impl FnOnce(&Settings) -> T) -> T {
    start(&COMPONENT, input, read).expect("a good configuration")
}

fn fail(input: &Input) -> String {
    let exit = start(&COMPONENT, input, |_| ()).expect_err("a bad configuration");
    assert_eq!(exit.code(), EXIT_USAGE, "{exit}");
    exit.to_string()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn with_file(file: &tempfile::NamedTempFile, args: &[&str]) -> Input {
    let name = file.path().to_str().expect("a path of plain characters");
    Input::from_args([&["--config", name], args].concat())
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let file = file("dnsconfig: {port: 3}");
    let none = Input::from_args(Vec::<String>::new());
    for (input, port) in [
        (none, 8053),
        (with_file(&file, &[]), 3),
        (with_file(&file, &[]).with_variable("A8_DNS_PORT", "2"), 2),
        (
            with_file(&file, &["--dns_port", "1"]).with_variable("A8_DNS_PORT", "2"),
            1,
        ),
        (Input::from_args(["--dns_port", "1"]), 1),
        (with_file(&file, &[]).with_variable("A8_DNS_PORT", ""), 3),
    ] {
        assert_eq!(
            load(&input, |s| s.port("dns_port")),
            Some(port),
            "{input:?}"
        );
    }
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let file = file("proxy: true");
    let name = file.path().to_str().expect("a path of plain characters");
    let input = Input::default().with_variable("A8_CONFIG", name);
    assert!(load(&input, |s| s.flag("proxy")));
}

#[test]
fn both_spellings_of_a_flag_are_taken() {
    for flag in ["--registry_url", "--registry-url"] {
        let input = Input::from_args([flag, "http://a:1,http://b:2"]);
        let urls = load(&input, |s| s.urls("registry_url"));
        let texts: Vec<_> = urls.iter().map(|url| url.as_str()).collect();
        assert_eq!(texts, ["http://a:1/", "http://b:2/"]);
    }
}

#[test]
fn a_flag_repeated_adds_to_a_list_and_replaces_a_single_value() {
    let args = "--registry_url http://a --registry_url http://b --dns_port 1 --dns_port 2";
    let input = Input::from_args(args.split(' '));
    let (urls, port) = load(&input, |s| {
        (s.urls("registry_url").len(), s.port("dns_port"))
    });
    assert_eq!((urls, port), (2, Some(2)));
}

#[test]
fn booleans_stand_alone_or_after_an_equals_sign() {
    for (args, expected) in [
        (vec!["--proxy"], true),
        (vec!["--proxy=true"], true),
        (vec!["--proxy=false"], false),
        (vec!["--proxy", "app"], true),
        (vec![], false),
    ] {
        assert_eq!(
            load(&Input::from_args(args.clone()), |s| s.flag("proxy")),
            expected,
            "{args:?}"
        );
    }
    let input = Input::default().with_variable("A8_PROXY", "1");
    assert!(load(&input, |s| s.flag("proxy")));
}

#[test]
fn durations_have_a_unit() {
    for (text, millis) in [
        ("1500ms", 1_500),
        ("15s", 15_000),
        ("5m", 300_000),
        ("1h", 3_600_000),
        ("1m30s", 90_000),
        ("1.5s", 1_500),
    ] {
        let input = Input::from_args(["--registry_poll", text]);
        let found = load(&input, |s| s.duration("registry_poll"));
        assert_eq!(found, Duration::from_millis(millis), "{text}");
    }
    for (text, says) in [
        ("15", "has no unit: write 15s"),
        ("15x", "is not a duration"),
        ("1ms", "is below 1s"),
        ("2h", "is above 1h"),
        ("-5s", "is not a duration"),
        ("99999999999999999999y", "is not a duration"),
    ] {
        let said = fail(&Input::from_args([format!("--registry_poll={text}")]));
        assert!(said.contains(says), "{text}: {said}");
    }
}

#[test]
fn all_problems_come_at_once_each_with_its_name_and_source() {
    let file = file("registry: {poll: 15, urll: x}\ncapacity: 11\nproxy: maybe\nnothing: 1");
    let input = with_file(&file, &["--registry_url", "ftp://x", "--store=disk"])
        .with_variable("A8_DNS_PORT", "x");
    let said = fail(&input);
    let name = file.path().display();
    for line in [
        "A8_DNS_PORT (environment): \"x\" is not a port (1 to 65535)".to_owned(),
        "--registry_url (command line): \"ftp://x\" is not an http or https URL".to_owned(),
        "--store (command line): \"disk\" is not one of memory, embedded".to_owned(),
        format!("registry.poll ({name}): \"15\" has no unit: write 15s, 15ms or 15m"),
        format!("capacity ({name}): 11 is above 10"),
        format!("proxy ({name}): \"maybe\" is neither true nor false"),
        format!("registry.urll ({name}): is not a known setting; did you mean registry.url?"),
        format!("nothing ({name}): is not a known setting"),
    ] {
        assert!(said.contains(&line), "no {line:?} in:\n{said}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    for (text, says) in [
        ("a: [", "is not valid YAML"),
        ("- 1", "is not valid YAML"),
        ("registry: 5", "registry ("),
        (
            "dnsconfig: {port: {a: 1}}",
            "must be one value, not a table",
        ),
    ] {
        let file = file(text);
        let said = fail(&with_file(&file, &[]));
        assert!(said.contains(says), "{text}: {said}");
        assert!(
            said.contains(file.path().to_str().expect("plain")),
            "{said}"
        );
    }
    let said = fail(&Input::from_args(["--config", "/does/not/exist"]));
    assert!(
        said.contains("config (/does/not/exist): cannot be opened"),
        "{said}"
    );
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_a_hint() {
    let said = fail(&Input::from_args(["--registri_url", "http://x"]));
    assert!(said.contains("--registry_url"), "{said}");
}

#[test]
fn arguments_after_the_flags_are_kept_as_they_are() {
    for args in [
        vec!["--proxy", "python", "app.py", "--port", "80", "--proxy"],
        vec![
            "--proxy", "--", "python", "app.py", "--port", "80", "--proxy",
        ],
    ] {
        let trailing = load(&Input::from_args(args), |s| s.trailing().to_vec());
        assert_eq!(trailing, ["python", "app.py", "--port", "80", "--proxy"]);
    }
    fail(&Input::from_args(["--prxy", "python"]));
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Command {
    cmd: Vec<String>,
    #[serde(default)]
    kill_group: bool,
}

#[test]
fn a_section_is_deserialised_by_its_owner() {
    let good = file("commands: [{cmd: [a, b]}, {cmd: [c], kill_group: true}]");
    let commands = load(&with_file(&good, &[]), |s| {
        s.section::<Vec<Command>>("commands")
    });
    assert_eq!(commands.expect("set").len(), 2);

    let bad = file("commands: [{cmd: [a]}, {cmd: b}]");
    let exit = start(&COMPONENT, &with_file(&bad, &[]), |s| {
        s.section::<Vec<Command>>("commands")
    });
    let said = exit.expect_err("a bad section").to_string();
    assert!(
        said.contains("commands (") && said.contains("at [1].cmd:"),
        "{said}"
    );
}

#[test]
fn a_flag_may_stand_in_for_a_section() {
    let file = file("service: {name: a, tags: [v1]}\nhealthchecks: [{type: http}]");
    let args = [
        "--service=b:v2",
        "--healthchecks=http://x/?a,b",
        "--healthchecks=tcp://y",
    ];
    let read = |s: &Settings| {
        (
            s.section::<serde_json::Value>("service"),
            s.section::<serde_json::Value>("healthchecks"),
        )
    };
    let from_flags = (
        Some("b:v2".into()),
        Some(serde_json::json!(["http://x/?a,b", "tcp://y"])),
    );
    assert_eq!(load(&with_file(&file, &args), read), from_flags);
    let from_file = (
        Some(serde_json::json!({"name": "a", "tags": ["v1"]})),
        Some(serde_json::json!([{"type": "http"}])),
    );
    assert_eq!(load(&with_file(&file, &[]), read), from_file);
}

#[test]
fn secrets_are_never_shown() {
    let args = ["--registry_token=hush", "--print_config"];
    let exit = start(&COMPONENT, &Input::from_args(args), |s| {
        let secret = s.secret("registry_token").expect("set");
        assert_eq!(secret.expose(), "hush");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
    })
    .expect_err("printed");
    assert_eq!(exit.code(), 0);
    assert!(!exit.to_string().contains("hush"), "{exit}");
    assert!(exit.to_string().contains("***"), "{exit}");

    let file = file("registry: {token: {hush: 1}}");
    let said = fail(&with_file(&file, &[]));
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn environments_in_sections_are_shown_without_values() {
    let file = file(
        "commands:\n- cmd: [a, -b]\n  env: {KEY: hush, AGE: 1}\n- env: [KEY=hush, hush]\n\
         - inner: {env: hush}\n",
    );
    let printed = start(&COMPONENT, &with_file(&file, &["--print_config"]), |_| ());
    let printed = printed.expect_err("printed").to_string();
    assert!(!printed.contains("hush"), "{printed}");
    for kept in ["- -b", "KEY: ", "AGE: ", "KEY=***"] {
        assert!(printed.contains(kept), "{kept}: {printed}");
    }
}

#[test]
fn urls_in_sections_are_shown_without_secrets() {
    let file =
        file("healthchecks:\n- {value: 'http://a:hush@h/x?token=hush'}\n- tcp://b:hush@h:1\n");
    let printed = start(&COMPONENT, &with_file(&file, &["--print_config"]), |s| {
        let read = s.section::<serde_json::Value>("healthchecks").unwrap();
        assert_eq!(read[0]["value"], "http://a:hush@h/x?token=hush");
    });
    let printed = printed.expect_err("printed").to_string();
    assert!(!printed.contains("hush"), "{printed}");
    for kept in ["http://***@h/x?token=***", "tcp://***@h:1"] {
        assert!(printed.contains(kept), "{kept}: {printed}");
    }
}

#[test]
fn what_is_printed_loads_again() {
    let args = "--registry_url=http://a,http://b --registry_poll=90s --proxy \
                --registry_token=hush --service=a:v1,x=y --capacity=-1 --print_config";
    let printed = start(
        &COMPONENT,
        &Input::from_args(args.split_whitespace()),
        |_| (),
    )
    .expect_err("printed")
    .to_string();
    let file = file(&printed);
    let again = start(
        &COMPONENT,
        &with_file(&file, &["--registry_token=hush", "--print_config"]),
        |_| (),
    )
    .expect_err("printed")
    .to_string();
    assert_eq!(again, printed);
    // Without the secret it is not set, rather than three stars.
    assert_eq!(
        load(&with_file(&file, &[]), |s| s.secret("registry_token")),
        None
    );
}

#[test]
fn awkward_texts_survive_being_printed() {
    for text in [
        "", "007", "0x10", "1e3", "1.10", "~", "null", "yes", "true", "- a", "a: b", "#x", "'",
        "\"", " padded ", "{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "a\nb", "ü", "\t", "=", "<<",
        ".inf",
    ] {
        let flag = format!("--service={text}");
        let args = [flag.as_str(), "--print_config"];
        let printed = start(&COMPONENT, &Input::from_args(args), |_| ()).expect_err("printed");
        let file = file(&printed.to_string());
        let again = load(&with_file(&file, &[]), |s| s.section::<String>("service"));
        assert_eq!(again.as_deref(), Some(text), "{printed}");
    }
}

#[test]
fn a_number_in_place_of_a_text_needs_quotes() {
    for text in [
        "registry: {token: 007}",
        "store: 1.10",
        "registry: {url: [true]}",
    ] {
        let file = file(text);
        let said = fail(&with_file(&file, &[]));
        let says = if text.contains("token") {
            "not a valid value"
        } else {
            "put it in quotes"
        };
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_key_given_twice_is_refused() {
    let file = file("proxy: true\nproxy: false");
    assert!(fail(&with_file(&file, &[])).contains("is not valid YAML"));
}

#[test]
fn checking_reports_problems_and_success() {
    let ok = start(&COMPONENT, &Input::from_args(["--check_config"]), |_| ()).expect_err("ends");
    assert_eq!(ok.code(), 0);
    fail(&Input::from_args(["--check-config", "--dns_port=0"]));
}

#[test]
fn health_is_asked_where_the_settings_say() {
    let ask = |input: Input| {
        // What else is wrong does not keep anybody from asking.
        let exit = start(&COMPONENT, &input, |s| s.refuse("proxy", "is off")).expect_err("ends");
        let Question { address, page } = exit.question().expect("a question");
        format!("{address}{}", page.path())
    };
    let args = |args: &[&str]| Input::from_args(args.to_vec());
    for (given, asked) in [
        (&["--check_health"][..], "127.0.0.1:8053/health"),
        (&["--check-health=health"], "127.0.0.1:8053/health"),
        (
            &["--check_health=ready", "--dns_port=99"],
            "127.0.0.1:99/ready",
        ),
        (&["--check_health", "--host=::"], "[::1]:8053/health"),
        (
            &["--check_health", "--host=10.1.2.3"],
            "10.1.2.3:8053/health",
        ),
        // Not a command to supervise.
        (&["--check_health", "ready"], "127.0.0.1:8053/health"),
    ] {
        assert_eq!(ask(args(given)), asked, "{given:?}");
    }
    let by_variable = args(&["--check_health"]).with_variable("A8_DNS_PORT", "1234");
    assert_eq!(ask(by_variable), "127.0.0.1:1234/health");
    let by_file = file("dnsconfig: {port: 4321}");
    assert_eq!(
        ask(with_file(&by_file, &["--check_health"])),
        "127.0.0.1:4321/health"
    );
}

#[test]
fn health_is_not_asked_where_nobody_knows() {
    for (args, named) in [
        (["--check_health", "--host=here"], "--host"),
        (["--check_health", "--dns_port=many"], "--dns_port"),
        (["--check_health=well", "--dns_port=1"], "ready"),
    ] {
        let said = fail(&Input::from_args(args));
        assert!(said.contains(named), "{said}");
    }
}

#[test]
fn a_component_may_refuse_and_must_declare() {
    let said = start(&COMPONENT, &Input::default(), |s| {
        s.refuse("registry_url", "is required with register");
        s.flag("not_declared");
    })
    .expect_err("refused")
    .to_string();
    let line = "registry.url (--registry_url, A8_REGISTRY_URL): is required with register";
    assert!(said.contains(line), "{said}");
    assert!(
        said.contains("not_declared: is read by the component"),
        "{said}"
    );
}

#[test]
fn help_and_version_show_what_there_is() {
    let help = start(&COMPONENT, &Input::from_args(["--help"]), |_| ()).expect_err("ends");
    assert_eq!(help.code(), 0);
    for part in [
        "Registry:",
        "--registry_url",
        "A8_REGISTRY_POLL",
        "15s",
        "memory|embedded",
    ] {
        assert!(help.to_string().contains(part), "no {part} in\n{help}");
    }
    let version = start(&COMPONENT, &Input::from_args(["--version"]), |_| ()).expect_err("ends");
    assert_eq!(
        (version.code(), version.to_string().as_str()),
        (0, "a8test 1.2.3")
    );
}

#[test]
fn the_table_as_markdown_has_a_row_for_each_setting() {
    let text = markdown(&COMPONENT);
    assert_eq!(text.matches("\n| `--").count(), 10, "{text}");
    let row = "| `--registry_poll` | `A8_REGISTRY_POLL` | `registry.poll` | DURATION | `15s` |";
    assert!(text.contains(row), "{text}");
    assert!(
        text.contains("| – | – | `commands` | STRUCTURE |"),
        "{text}"
    );
}
