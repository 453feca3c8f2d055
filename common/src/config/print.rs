//! The configuration printed back, and the table as documentation.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::check::Checked;
use super::secret::{REDACTED, redacted};
use super::setting::Component;
use super::settings::Settings;

/// The settings as YAML that can be loaded again; secrets as `***`.
pub(super) fn yaml(settings: &Settings) -> String {
    serde_saphyr::to_string(&tree(settings)).unwrap_or_else(|e| format!("# cannot be shown: {e}\n"))
}

/// The settings as they stand in the file; secrets as `***`.
pub(super) fn tree(settings: &Settings) -> Map<String, Value> {
    let mut root = Map::new();
    for entry in settings.entries.values() {
        let Some(value) = &entry.value else { continue };
        let shown = if entry.setting.secret {
            REDACTED.into()
        } else {
            shown(value)
        };
        insert(&mut root, entry.setting.path, shown);
    }
    root
}

fn shown(value: &Checked) -> Value {
    match value {
        Checked::Bool(b) => (*b).into(),
        Checked::Text(text) => text.as_str().into(),
        Checked::Integer(n) => (*n).into(),
        Checked::Duration(time) => humantime::format_duration(*time).to_string().into(),
        Checked::Url(url) => url.as_str().into(),
        Checked::Urls(urls) => urls.iter().map(|url| url.as_str()).collect(),
        Checked::List(texts) => texts.iter().map(String::as_str).collect(),
        Checked::Section(json) => without_secrets(json),
    }
}

/// The same without the values of any member `env`, as passwords reach programs that way, and
/// without those in URLs.
fn without_secrets(json: &Value) -> Value {
    match json {
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let shown = match name.as_str() {
                    "env" => names_only(value),
                    _ => without_secrets(value),
                };
                (name.clone(), shown)
            })
            .collect(),
        Value::String(text) => redacted(text).into(),
        scalar => scalar.clone(),
    }
}

/// An environment, as a table or as texts `NAME=value`, with every value as `***`.
fn names_only(environment: &Value) -> Value {
    match environment {
        Value::Array(items) => items.iter().map(names_only).collect(),
        Value::Object(members) => members
            .keys()
            .map(|name| (name.clone(), Value::from(REDACTED)))
            .collect(),
        Value::String(text) => match text.split_once('=') {
            Some((name, _)) => format!("{name}={REDACTED}").into(),
            None => REDACTED.into(),
        },
        _ => REDACTED.into(),
    }
}

fn insert(table: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((head, rest)) = path.split_once('.') else {
        table.insert(path.to_owned(), value);
        return;
    };
    let inner = table
        .entry(head)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

/// The table of a component's settings as markdown, for its documentation.
pub fn markdown(component: &Component) -> String {
    let mut out = String::new();
    for group in component.groups {
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "### {}\n\n| flag | variable | file | value | default | meaning |\n|---|---|---|---|---|---|\n",
            group.title
        );
        for setting in group.settings {
            let (flag, variable) = if setting.kind.has_flag() {
                (
                    format!("`--{}`", setting.name),
                    format!("`{}`", setting.variable()),
                )
            } else {
                ("–".into(), "–".into())
            };
            let default = setting.default.map_or("–".into(), |d| format!("`{d}`"));
            let value = setting.kind.placeholder().replace('|', "\\|");
            let _ = writeln!(
                out,
                "| {flag} | {variable} | `{}` | {value} | {default} | {} |",
                setting.path, setting.help
            );
        }
        out.push('\n');
    }
    out
}
