use a8_common::config::{self, Exit, Input};

use super::*;
use crate::config::{COMPONENT, Config};

fn load(commands: &str, more: &[&str]) -> Result<Config, Exit> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sidecar.yaml");
    let text = format!(
        "proxy: true\nregistry: {{url: http://r:1}}\ncontroller: {{url: http://c:1}}\n{commands}\n"
    );
    std::fs::write(&file, text).unwrap();
    let args = [&["--config", file.to_str().unwrap()], more].concat();
    config::start(&COMPONENT, &Input::from_args(args), Config::read)
}

fn commands(text: &str, more: &[&str]) -> Vec<Command> {
    load(text, more).unwrap().commands
}

fn argv(command: &Command) -> Vec<&str> {
    let args = command.args.iter().map(String::as_str);
    std::iter::once(command.program.as_str())
        .chain(args)
        .collect()
}

#[test]
fn a_list_is_taken_as_it_is_and_a_text_is_for_the_shell() {
    let text = "commands:\n- cmd: [python, app.py, '80']\n- cmd: exec \"$APP\" --port 80\n  \
                on_exit: terminate\n  kill_group: true\n";
    let [list, text] = &commands(text, &[])[..] else {
        panic!("two commands")
    };
    assert_eq!(argv(list), ["python", "app.py", "80"]);
    assert_eq!((list.on_exit, list.kill_group), (OnExit::Ignore, false));
    assert_eq!(argv(text), ["/bin/sh", "-c", "exec \"$APP\" --port 80"]);
    assert_eq!((text.on_exit, text.kill_group), (OnExit::Terminate, true));
}

#[test]
fn an_environment_is_a_list_or_a_table_and_never_shown() {
    let text = "commands:\n- cmd: [a]\n  env: [KEY=hush=2, EMPTY=]\n\
                - cmd: [b]\n  env: {KEY: hush}\n- cmd: [c]\n  env:\n";
    let config = load(text, &[]).unwrap();
    let env = |at: usize| {
        let pairs = config.commands[at].env.iter();
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.expose()));
        pairs.collect::<Vec<_>>()
    };
    assert_eq!(env(0), [("KEY", "hush=2"), ("EMPTY", "")]);
    assert_eq!(env(1), [("KEY", "hush")]);
    assert_eq!(env(2), []);
    let shown = format!("{config:?}");
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn what_follows_the_flags_is_the_last_command_and_ends_the_sidecar() {
    let both = commands("commands: [{cmd: [a]}]", &["--", "app", "--proxy", "x y"]);
    assert_eq!(argv(&both[0]), ["a"]);
    assert_eq!(argv(&both[1]), ["app", "--proxy", "x y"]);
    let last = &both[1];
    assert_eq!((last.on_exit, last.kill_group), (OnExit::Terminate, false));
    for none in ["", "commands:", "commands: []"] {
        assert!(commands(none, &[]).is_empty(), "{none}");
    }
    let exit = load("", &["--", ""]).unwrap_err().to_string();
    assert!(
        exit.contains("the command after the flags: is empty"),
        "{exit}"
    );
}

#[test]
fn a_command_that_cannot_be_is_named_with_its_place() {
    for (entry, told) in [
        ("{}", "at [1]: missing field `cmd`"),
        ("{cmd: []}", "at [1].cmd: is empty"),
        ("{cmd: ''}", "at [1].cmd: is empty"),
        ("{cmd: ['', x]}", "at [1].cmd: is empty"),
        ("{cmd: }", "at [1].cmd: is empty"),
        ("{cmd: 5}", "at [1].cmd: must be a list"),
        ("{cmd: [sleep, 10]}", "at [1].cmd[1]: must be a text"),
        ("{cmd: [\"a\\0\"]}", "at [1].cmd: holds a zero byte"),
        ("{cmd: [a], env: [hush]}", "at [1].env[0]: is not NAME="),
        (
            "{cmd: [a], env: [A=b, '=hush']}",
            "at [1].env[1]: is not a name",
        ),
        (
            "{cmd: [a], env: {A=: hush}}",
            "at [1].env.A=: is not a name",
        ),
        (
            "{cmd: [a], env: {A: 1234567}}",
            "at [1].env.A: must be a text",
        ),
        ("{cmd: [a], env: hush}", "at [1].env: must be a list"),
        (
            "{cmd: [a], on_exit: stop}",
            "at [1].on_exit: unknown variant",
        ),
        ("{cmd: [a], kill_group: often}", "at [1].kill_group: "),
        ("{cmd: [a], cwd: /}", "at [1].cwd: unknown field"),
    ] {
        let exit = load(&format!("commands: [{{cmd: [a]}}, {entry}]"), &[]).unwrap_err();
        assert_eq!(exit.code(), 64);
        let exit = exit.to_string();
        assert!(exit.contains("commands ("), "{entry}: {exit}");
        assert!(exit.contains(told), "{entry}: {exit}");
        for secret in ["hush", "1234567"] {
            assert!(!exit.contains(secret), "{entry}: {exit}");
        }
    }
    let several = load("commands: [{cmd: []}, {cmd: [1], env: [x]}]", &[]);
    let several = several.unwrap_err().to_string();
    for told in ["[0].cmd:", "[1].cmd[0]:", "[1].env[0]:"] {
        assert!(several.contains(told), "{told}: {several}");
    }
    let shapes = "commands: [{cmd: a, on_exit: foo}, 5, {cmd: []}, {cmd: b, on_exit: bar}]";
    let shapes = load(shapes, &[]).unwrap_err().to_string();
    for told in ["[0].on_exit: ", "[1]: ", "[2].cmd: ", "[3].on_exit: "] {
        assert!(shapes.contains(told), "{told}: {shapes}");
    }
}

#[test]
fn a_grace_without_a_command_has_no_effect() {
    let times = ["--start_timeout=1s", "--stop_grace=2s"];
    let remarks = load("service: a", &times).unwrap().remarks;
    // Callers wait by the other one, too.
    let why = "stop_grace is set and has no effect: there is no command to supervise";
    assert_eq!(remarks, [why]);
    let more = [&times[..], &["--", "app"]].concat();
    let config = load("service: a", &more).unwrap();
    assert!(config.remarks.is_empty(), "{:?}", config.remarks);
    assert_eq!(config.start_timeout.as_secs(), 1);
    assert_eq!(config.stop_grace.as_secs(), 2);
}
