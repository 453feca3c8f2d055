//! `commands`, and the command after the flags: processes to supervise.

use a8_common::config::{Secret, Settings};
use serde::Deserialize;
use serde_json::Value;

use crate::supervise::{Command, OnExit};

/// What runs a command that is one text.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    cmd: Value,
    #[serde(default)]
    env: Value,
    #[serde(default)]
    on_exit: End,
    #[serde(default)]
    kill_group: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum End {
    Terminate,
    #[default]
    Ignore,
}

/// Something wrong, and its place within an entry.
type Problem = (String, &'static str);

const NOT_TEXT: &str = "must be a text: put it in quotes";

/// Reads the entries, and the command after the flags as the last one: its end is that of the
/// sidecar.
pub(super) fn read(settings: &Settings) -> Vec<Command> {
    let entries: Vec<(usize, Entry)> = settings.entries("commands");
    let mut commands: Vec<_> = entries
        .into_iter()
        .filter_map(|(at, entry)| {
            let mut problems = Vec::new();
            let command = command(&entry, &mut problems);
            for (place, why) in problems {
                settings.refuse("commands", format!("at [{at}].{place}: {why}"));
            }
            command
        })
        .collect();
    commands.extend(trailing(settings));
    commands
}

fn trailing(settings: &Settings) -> Option<Command> {
    let (program, args) = settings.trailing().split_first()?;
    let refuse = |why| settings.refuse("the command after the flags", why);
    if program.is_empty() {
        refuse("is empty");
    }
    Some(Command {
        program: program.clone(),
        args: args.to_vec(),
        env: Vec::new(),
        on_exit: OnExit::Terminate,
        kill_group: false,
        terminal: true,
    })
}

/// What an entry means; `None` when it means nothing.
fn command(entry: &Entry, problems: &mut Vec<Problem>) -> Option<Command> {
    let words = words(&entry.cmd, problems);
    let env = environment(&entry.env, problems);
    let (program, args) = words.split_first()?;
    Some(Command {
        program: program.clone(),
        args: args.to_vec(),
        env,
        on_exit: match entry.on_exit {
            End::Terminate => OnExit::Terminate,
            End::Ignore => OnExit::Ignore,
        },
        kill_group: entry.kill_group,
        terminal: false,
    })
}

/// Program and arguments. One text is for the shell.
fn words(cmd: &Value, problems: &mut Vec<Problem>) -> Vec<String> {
    let words = match cmd {
        Value::String(text) if text.trim().is_empty() => Vec::new(),
        Value::String(text) => SHELL.into_iter().chain([text.as_str()]).collect(),
        Value::Array(items) => {
            let texts = items.iter().enumerate().map(|(at, item)| {
                item.as_str().unwrap_or_else(|| {
                    problems.push((format!("cmd[{at}]"), NOT_TEXT));
                    "?"
                })
            });
            texts.collect()
        }
        Value::Null => Vec::new(),
        _ => {
            problems.push(("cmd".to_owned(), "must be a list of texts, or a text"));
            return Vec::new();
        }
    };
    if words.first().is_none_or(|program| program.is_empty()) {
        problems.push(("cmd".to_owned(), "is empty"));
    }
    for word in &words {
        whole(word, "cmd", problems);
    }
    words.into_iter().map(str::to_owned).collect()
}

/// Names and values, from a list of `NAME=value` or a table. Values are not told: they may be
/// secrets.
fn environment(env: &Value, problems: &mut Vec<Problem>) -> Vec<(String, Secret)> {
    let pairs: Vec<_> = match env {
        Value::Null => Vec::new(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().ok_or(NOT_TEXT);
                let pair = value.map(|value| (name.as_str(), value));
                (format!("env.{name}"), pair)
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| {
                let text = item.as_str().ok_or(NOT_TEXT);
                let pair = text.and_then(|text| text.split_once('=').ok_or("is not NAME=value"));
                (format!("env[{at}]"), pair)
            })
            .collect(),
        _ => vec![(
            "env".to_owned(),
            Err("must be a list of NAME=value, or a table of names and values"),
        )],
    };
    let mut found = Vec::new();
    for (place, pair) in pairs {
        match pair {
            Err(why) => problems.push((place, why)),
            Ok((name, _)) if name.is_empty() || name.contains('=') => {
                problems.push((place, "is not a name that a variable can have"));
            }
            Ok((name, value)) => {
                whole(name, &place, problems);
                whole(value, &place, problems);
                found.push((name.to_owned(), Secret::new(value)));
            }
        }
    }
    found
}

/// The system takes a zero byte for the end of a text.
fn whole(text: &str, place: &str, problems: &mut Vec<Problem>) {
    if text.contains('\0') {
        problems.push((place.to_owned(), "holds a zero byte"));
    }
}

#[cfg(test)]
mod tests;
