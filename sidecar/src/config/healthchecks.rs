//! `healthchecks`: URLs, or a list of tables.

use std::path::PathBuf;
use std::time::Duration;

use a8_common::config::{Settings, duration, redacted};
use http::{Method, StatusCode, Uri};
use reqwest::Url;
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

/// What an entry is to do, by its type or, without one, by the scheme of its value. Schemes are
/// the same in any case (RFC 3986, 3.1).
fn kind(entry: &Entry, problems: &mut Vec<Problem>) -> Option<Kind> {
    let parts = entry.value.split_once("://");
    let scheme = parts.map(|(scheme, _)| scheme.to_ascii_lowercase());
    let kind = match (entry.kind.as_deref(), scheme.as_deref()) {
        (None, None) => "http",
        (None, Some(scheme)) => scheme,
        (Some(kind), _) => kind,
    };
    let is_url = scheme.as_deref() == Some(kind);
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
            let bare = parts.filter(|_| is_url).map(|(_, rest)| rest);
            let address = bare.unwrap_or(&entry.value).to_owned();
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
            let program = match is_url {
                true => path(&entry.value),
                false => Ok(entry.value.clone()),
            };
            let program = program.unwrap_or_else(|why| {
                problems.push(("value", why));
                entry.value.clone()
            });
            let code = entry.code.map_or(0, i32::from);
            if matches!(&*program, "" | "/") {
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

/// The path of a `file` URL, or what is wrong with it (RFC 8089).
fn path(url: &str) -> Result<String, String> {
    let shown = redacted(url);
    let read = Url::parse(url).map_err(|e| format!("{shown:?} is not a file URL: {e}"))?;
    if let Some(host) = read.host_str() {
        return Err(format!(
            "{shown:?} is of the host {host:?}, and not of this one"
        ));
    }
    if read.query().is_some() || read.fragment().is_some() {
        return Err(format!(
            "{shown:?} is not a path: write ? as %3F, and # as %23"
        ));
    }
    let path = read.to_file_path().ok();
    let path = path.and_then(|path| path.into_os_string().into_string().ok());
    path.ok_or_else(|| format!("{shown:?} is not a path in UTF-8"))
}

fn http(entry: &Entry, scheme: &str, problems: &mut Vec<Problem>) -> Option<Kind> {
    // A port that is none makes no `Url`, and what has no host no `Uri` with an authority.
    let has_host = |value: &str| {
        value
            .parse::<Uri>()
            .is_ok_and(|uri| uri.authority().is_some())
    };
    let url = Url::parse(&entry.value).map_err(|e| format!(": {e}"));
    let url = url.and_then(
        |url| match url.scheme() == scheme && has_host(&entry.value) {
            true => Ok(url.to_string()),
            false => Err(String::new()),
        },
    );
    let url = url.unwrap_or_else(|why| {
        let shown = redacted(&entry.value);
        problems.push(("value", format!("{shown:?} is not an {scheme} URL{why}")));
        String::new()
    });
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
        url,
        method,
        code,
        ca_cert_file: entry.ca_cert_file.clone(),
    })
}

#[cfg(test)]
mod tests;
