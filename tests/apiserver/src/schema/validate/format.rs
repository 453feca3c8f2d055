//! The formats of texts that the real server knows; it takes no notice of others.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;

/// Whether a text has a format.
pub(crate) fn fits(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "datetime" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.split_once('/').is_some_and(|(address, length)| {
            let length = length.parse::<u8>();
            match address.parse() {
                Ok(std::net::IpAddr::V4(_)) => length.is_ok_and(|n| n <= 32),
                Ok(std::net::IpAddr::V6(_)) => length.is_ok_and(|n| n <= 128),
                Err(_) => false,
            }
        }),
        "uuid" => uuid::Uuid::try_parse(text).is_ok(),
        "byte" => base64::engine::general_purpose::STANDARD
            .decode(text)
            .is_ok(),
        "uri" => http::Uri::try_from(text)
            .is_ok_and(|uri| uri.scheme().is_some() || uri.path().starts_with('/')),
        "email" => text
            .split_once('@')
            .is_some_and(|(who, host)| !who.is_empty() && !host.is_empty()),
        "duration" => is_duration(text),
        "hostname" => {
            text.len() <= 255
                && text
                    .split('.')
                    .all(|label| crate::names::label(&label.to_lowercase()).is_empty())
        }
        _ => true,
    }
}

/// Go's durations (`1h30m`), and a number with a unit in words (`22 ns`).
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        if digits == 0 {
            return false;
        }
        rest = rest[digits..].trim_start();
        let unit = rest
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(rest.len());
        let known = [
            "ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "sec", "secs", "second", "seconds",
            "min", "mins", "minute", "minutes", "hr", "hour", "hours", "day", "days", "week",
            "weeks",
        ];
        if !known.contains(&&rest[..unit]) {
            return false;
        }
        rest = &rest[unit..];
    }
    true
}
