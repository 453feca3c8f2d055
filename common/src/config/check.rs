//! From a text or a YAML value to what the kind of a setting asks for.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{Value, ValueKind};
use reqwest::Url;

use super::setting::Kind;

/// A value that fits the kind of its setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Checked {
    Bool(bool),
    Text(String),
    Integer(i64),
    Duration(Duration),
    Url(Url),
    Urls(Vec<Url>),
    List(Vec<String>),
    Section(serde_json::Value),
}

/// Checks `value` against `kind`; the error is a phrase that follows the setting's name.
pub(super) fn check(kind: Kind, value: &Value) -> Result<Checked, String> {
    Ok(match kind {
        Kind::Bool => Checked::Bool(boolean(value)?),
        Kind::Text => Checked::Text(word(value)?),
        Kind::Port => Checked::Integer(port(value, 1)?),
        Kind::ListenPort => Checked::Integer(port(value, 0)?),
        Kind::Integer { min, max } => Checked::Integer(integer(value, min, max)?),
        Kind::Duration { min, max } => Checked::Duration(duration(&text(value)?, min, max)?),
        Kind::Choice(words) => Checked::Text(choice(word(value)?, words)?),
        Kind::Url => Checked::Url(url(&text(value)?)?),
        Kind::Urls => {
            let texts = list(value)?;
            if texts.is_empty() {
                // As of `$A,$B` that are both unset: to go without is to leave it out.
                return Err("names no URL".into());
            }
            Checked::Urls(texts.iter().map(|t| url(t)).collect::<Result<_, _>>()?)
        }
        Kind::List => Checked::List(list(value)?),
        Kind::Section | Kind::TextOrSection | Kind::ListOrSection => Checked::Section(json(value)),
    })
}

fn boolean(value: &Value) -> Result<bool, String> {
    let text = text(value)?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "on" => Ok(true),
        "false" | "f" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text.clone()),
        ValueKind::Boolean(b) => Ok(b.to_string()),
        ValueKind::I64(n) => Ok(n.to_string()),
        ValueKind::I128(n) => Ok(n.to_string()),
        ValueKind::U64(n) => Ok(n.to_string()),
        ValueKind::U128(n) => Ok(n.to_string()),
        ValueKind::Float(n) => Ok(n.to_string()),
        ValueKind::Table(_) => Err("must be one value, not a table".into()),
        ValueKind::Array(_) => Err("must be one value, not a list".into()),
        ValueKind::Nil => Err("has no value".into()),
    }
}

/// A text as it was written. YAML reads `007`, `1.10` or `true` as numbers and booleans, and
/// what was written is lost: such a text needs quotes.
fn word(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    match value.kind {
        ValueKind::String(_) => Ok(text),
        _ => Err(format!("{text} must be a text: put it in quotes")),
    }
}

fn port(value: &Value, lowest: u16) -> Result<i64, String> {
    let text = text(value)?;
    match text.parse::<u16>() {
        Ok(port) if port >= lowest => Ok(port.into()),
        _ => Err(format!("{text:?} is not a port ({lowest} to 65535)")),
    }
}

fn integer(value: &Value, min: i64, max: i64) -> Result<i64, String> {
    let text = text(value)?;
    match text.parse::<i64>() {
        Ok(n) if (min..=max).contains(&n) => Ok(n),
        Ok(n) if n < min => Err(format!("{n} is below {min}")),
        Ok(n) => Err(format!("{n} is above {max}")),
        Err(_) => Err(format!("{text:?} is not a whole number")),
    }
}

/// Reads a length of time such as `500ms`, `15s`, `5m` or `1h30m`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    if text != "0" && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(format!(
            "{text:?} has no unit: write {text}s, {text}ms or {text}m"
        ));
    }
    let found = humantime::parse_duration(text)
        .map_err(|e| format!("{text:?} is not a duration such as 500ms, 15s, 5m or 1h: {e}"))?;
    if found < min {
        return Err(format!(
            "{text} is below {}",
            humantime::format_duration(min)
        ));
    }
    if found > max {
        return Err(format!(
            "{text} is above {}",
            humantime::format_duration(max)
        ));
    }
    Ok(found)
}

fn choice(text: String, words: &[&str]) -> Result<String, String> {
    if words.contains(&text.as_str()) {
        return Ok(text);
    }
    Err(format!("{text:?} is not one of {}", words.join(", ")))
}

fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{text:?} is not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is not an http or https URL"));
    }
    Ok(url)
}

/// A list, or texts separated by commas.
fn list(value: &Value) -> Result<Vec<String>, String> {
    let texts = match &value.kind {
        ValueKind::Array(items) => items.iter().map(word).collect::<Result<Vec<_>, _>>()?,
        _ => vec![word(value)?],
    };
    let parts = texts.iter().flat_map(|text| text.split(','));
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    Ok(parts.map(str::to_owned).collect())
}

fn json(value: &Value) -> serde_json::Value {
    match &value.kind {
        ValueKind::Nil => serde_json::Value::Null,
        ValueKind::Boolean(b) => (*b).into(),
        ValueKind::I64(n) => (*n).into(),
        ValueKind::U64(n) => (*n).into(),
        ValueKind::I128(n) => n.to_string().into(),
        ValueKind::U128(n) => n.to_string().into(),
        ValueKind::Float(n) => (*n).into(),
        ValueKind::String(text) => text.as_str().into(),
        ValueKind::Array(items) => items.iter().map(json).collect(),
        // In no order of its own: sorted, so that it is shown alike each time.
        ValueKind::Table(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), json(value)))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect(),
    }
}
