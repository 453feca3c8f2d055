//! Every setting of every program, by flag, variable and file: the flag wins over the variable,
//! the variable over the file, the file over the default.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use a8_common::config::{self, Component, Input, Kind, Setting};
use serde_json::{Value, json};

const COMPONENTS: [&Component; 3] = [
    &a8_registry::config::COMPONENT,
    &a8_controller::config::COMPONENT,
    &a8_sidecar::config::COMPONENT,
];

/// Three values, as texts; two are the same where there are no three.
fn values(kind: Kind) -> [String; 3] {
    let texts = match kind {
        Kind::Bool => ["true", "false", "true"],
        Kind::Text | Kind::TextOrSection => ["one", "two", "three"],
        Kind::Port | Kind::ListenPort => ["1001", "1002", "1003"],
        Kind::Integer { min, max } => {
            let at = |n: i64| min.max(0).saturating_add(n).min(max).to_string();
            return [at(1), at(2), at(3)];
        }
        Kind::Duration { min, max } => {
            let at = |n: u64| {
                let time = min + std::time::Duration::from_secs(n);
                format!("{}ms", time.min(max).as_millis())
            };
            return [at(1), at(2), at(3)];
        }
        Kind::Choice(words) => {
            let at = |n: usize| words[n % words.len()].to_owned();
            return [at(0), at(1), at(2)];
        }
        Kind::Url | Kind::Urls => ["http://one/", "http://two/", "http://three/"],
        Kind::List | Kind::ListOrSection => ["one", "two", "three"],
        Kind::Section => panic!("has no flag"),
    };
    texts.map(str::to_owned)
}

/// A text as it stands in a file.
fn in_file(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Bool | Kind::Integer { .. } | Kind::Port | Kind::ListenPort => {
            serde_json::from_str(text).unwrap()
        }
        Kind::Urls | Kind::List | Kind::ListOrSection => json!([text]),
        _ => json!(text),
    }
}

/// What a setting is when it is set so.
fn settled(
    component: &'static Component,
    setting: &Setting,
    [flag, variable, file]: [Option<&str>; 3],
) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut args = Vec::new();
    if let Some(text) = file {
        let path = folder.path().join("config.yaml");
        let keys = setting.path().rsplit('.');
        let tree = keys.fold(
            in_file(setting.kind(), text),
            |value, key| json!({ key: value }),
        );
        std::fs::write(&path, tree.to_string()).unwrap();
        args.push(format!("--config={}", path.display()));
    }
    if let Some(text) = flag {
        args.push(format!("--{}={text}", setting.name()));
    }
    let mut input = Input::from_args(args);
    if let Some(text) = variable {
        let name = setting.variable();
        input = input.with_variable(&name, text);
    }
    let read = config::start(component, &input, |settings| {
        if setting.is_secret() {
            let secret = settings.secret(setting.name());
            return secret.map_or(Value::Null, |secret| json!(secret.expose()));
        }
        let pointer = format!("/{}", setting.path().replace('.', "/"));
        let all = settings.to_json();
        all.pointer(&pointer).cloned().unwrap_or_default()
    });
    read.unwrap_or_else(|exit| panic!("{}: {exit}", setting.name()))
}

#[test]
fn flags_win_over_variables_over_the_file_over_the_default() {
    let mut tried = 0;
    for component in COMPONENTS {
        let settings = component.settings();
        for setting in settings.filter(|setting| setting.kind().has_flag()) {
            let [flag, variable, file] = values(setting.kind());
            let is = |given| settled(component, setting, given);
            // What a value comes to is the same wherever it stands.
            let by_flag = is([Some(&flag), None, None]);
            let by_variable = is([None, Some(&variable), None]);
            let by_file = is([None, None, Some(&file)]);
            let name = format!("{} {}", component.name, setting.name());
            assert_ne!(by_flag, by_variable, "{name}");
            assert_ne!(by_variable, by_file, "{name}");
            let all = is([Some(&flag), Some(&variable), Some(&file)]);
            assert_eq!(all, by_flag, "{name}");
            assert_eq!(is([Some(&flag), None, Some(&file)]), by_flag, "{name}");
            assert_eq!(
                is([None, Some(&variable), Some(&file)]),
                by_variable,
                "{name}"
            );
            let by_default = is([None; 3]);
            match setting.default() {
                // As it would be by a flag.
                Some(text) => assert_eq!(by_default, is([Some(text), None, None]), "{name}"),
                None => assert_eq!(by_default, Value::Null, "{name}"),
            }
            tried += 1;
        }
    }
    assert!(tried > 80, "{tried}");
}
