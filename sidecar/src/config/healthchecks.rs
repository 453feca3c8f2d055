//! `healthchecks`: URLs, or a list of tables.

use std::path::PathBuf;
use std::time::Duration;

use a8_common::config::{Settings, duration, redacted};
use http::{Method, StatusCode, Uri};
use serde::Deserialize;
use serde_json::Value;

use crate::health::{Check, Kind};
use crate::supervise::number;

/// Of every kind.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(5);
/// An interval below it would be a load.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(rename = "type")]
    kind: Option<String>,
    value: String,
    interval: Option<String>,
    timeout: Option<String>,
    method: Option<String>,
    code: Option<u16>,
    #[serde(default)]
    args: Vec<String>,
    ca_cert_file: Option<PathBuf>,
}

/// Something wrong, and the member that it is in.
type Problem = (&'static str, String);

/// Reads the checks.
pub(super) fn read(settings: &Settings) -> Vec<Check> {
    let entries: Option<Vec<Value>> = settings.section("healthchecks").flatten();
    let entries = entries.unwrap_or_default().into_iter().enumerate();
    let checks = entries.filter_map(|(at, entry)| {
        let read = match entry {
            Value::String(url) => check(&by_url(&url)),
            other => match serde_json::from_value(other) {
                Ok(entry) => check(&entry),
                Err(e) => Err(vec![("", e.to_string())]),
            },
        };
        let refuse = |problems: Vec<Problem>| {
            for (member, why) in problems {
                let place = match member {
                    "" => format!("[{at}]"),
                    member => format!("[{at}].{member}"),
                };
                settings.refuse("healthchecks", format!("at {place}: {why}"));
            }
        };
        read.map_err(refuse).ok()
    });
    let mut checks: Vec<_> = checks.collect();
    number(checks.iter_mut().map(|check| &mut check.name));
    checks
}

fn by_url(url: &str) -> Entry {
    Entry {
        kind: None,
        value: url.trim().to_owned(),
        interval: None,
        timeout: None,
        method: None,
        code: None,
        args: Vec::new(),
        ca_cert_file: None,
    }
}

fn check(entry: &Entry) -> Result<Check, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut time = |name, text: &Option<String>, default| match text {
        None => default,
        Some(text) => duration(text, SHORTEST, LONGEST).unwrap_or_else(|why| {
            problems.push((name, why));
            default
        }),
    };
    let interval = time("interval", &entry.interval, INTERVAL);
    let timeout = time("timeout", &entry.timeout, TIMEOUT);
    let kind = kind(entry, &mut problems);
    match (kind, problems.is_empty()) {
        (Some(kind), true) => Ok(Check {
            name: redacted(&entry.value).into_owned(),
            kind,
            interval,
            timeout,
        }),
        _ => Err(problems),
    }
}

/// What an entry is to do, by its type or, without one, by the scheme of its value.
fn kind(entry: &Entry, problems: &mut Vec<Problem>) -> Option<Kind> {
    let scheme = entry.value.split_once("://").map(|(scheme, _)| scheme);
    let (kind, rest) = match (entry.kind.as_deref(), scheme) {
        (None, None) => ("http", entry.value.as_str()),
        (None, Some(scheme)) => (scheme, entry.value.as_str()),
        (Some(kind), _) => (kind, entry.value.as_str()),
    };
    let bare = |scheme: &str| {
        rest.strip_prefix(&format!("{scheme}://"))
            .unwrap_or(rest)
            .to_owned()
    };
    let is_http = matches!(kind, "http" | "https");
    for (name, given, fits) in [
        ("method", entry.method.is_some(), is_http),
        (
            "ca_cert_file",
            entry.ca_cert_file.is_some(),
            kind == "https",
        ),
        ("args", !entry.args.is_empty(), kind == "file"),
        ("code", entry.code.is_some(), is_http || kind == "file"),
    ] {
        if given && !fits {
            problems.push((name, format!("is not for the type {kind}")));
        }
    }
    match kind {
        "http" | "https" => http(entry, kind, problems),
        "tcp" => {
            let address = bare("tcp");
            let port = address
                .rsplit_once(':')
                .map(|(host, port)| (host, port.parse::<u16>()));
            match port {
                Some((host, Ok(port))) if !host.is_empty() && port != 0 => {
                    Some(Kind::Tcp { address })
                }
                _ => {
                    problems.push((
                        "value",
                        format!("{:?} is not host:port", redacted(&entry.value)),
                    ));
                    None
                }
            }
        }
        "file" => {
            let program = bare("file");
            let code = entry.code.map_or(0, i32::from);
            if program.is_empty() {
                problems.push(("value", "names no command".to_owned()));
            }
            if code > 255 {
                problems.push(("code", format!("{code} is no exit code")));
            }
            Some(Kind::Command {
                program,
                args: entry.args.clone(),
                code,
            })
        }
        other => {
            let member = if entry.kind.is_some() {
                "type"
            } else {
                "value"
            };
            problems.push((
                member,
                format!("{other:?} is none of http, https, tcp and file"),
            ));
            None
        }
    }
}

fn http(entry: &Entry, scheme: &str, problems: &mut Vec<Problem>) -> Option<Kind> {
    let url = entry.value.parse::<Uri>().ok();
    let good = url.filter(|url| url.scheme_str() == Some(scheme) && url.authority().is_some());
    if good.is_none() {
        problems.push((
            "value",
            format!("{:?} is not an {scheme} URL", redacted(&entry.value)),
        ));
    }
    let method = match &entry.method {
        None => Method::GET,
        Some(name) => {
            Method::from_bytes(name.to_ascii_uppercase().as_bytes()).unwrap_or_else(|_| {
                problems.push(("method", format!("{name:?} is no method")));
                Method::GET
            })
        }
    };
    let code = match entry.code {
        None | Some(0) => StatusCode::OK,
        Some(code) => match StatusCode::from_u16(code) {
            Ok(status) if code < 600 => status,
            _ => {
                problems.push(("code", format!("{code} is no status")));
                StatusCode::OK
            }
        },
    };
    Some(Kind::Http {
        url: entry.value.clone(),
        method,
        code,
        ca_cert_file: entry.ca_cert_file.clone(),
    })
}

#[cfg(test)]
mod tests;
