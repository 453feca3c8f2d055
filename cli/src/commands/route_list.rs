//! `route-list`: per service, where requests go by default and what else picks a version.

use reqwest::Method;
use serde::Serialize;

use crate::args::{RouteList, Servers};
use crate::client::{Call, Client};
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::{Match, Rule, RulesByService, Source};

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    service: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    default: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selectors: Vec<String>,
}

pub(super) async fn run(
    servers: &Servers,
    list: &RouteList,
    console: &mut Console,
) -> Result<(), Error> {
    let mut call = Call::new(Method::GET, "/v1/rules/routes");
    call.query = list
        .service
        .iter()
        .map(|s| ("destination", s.as_str()))
        .collect();
    let routes: RulesByService = Client::controller(servers)?
        .send(call, &mut console.notes)
        .await?;
    let rows: Vec<Row> = routes
        .services
        .iter()
        .map(|(name, rules)| row(name, rules))
        .collect();
    output::listing(&mut console.output, list.listing.output, &rows, |out| {
        let cells = rows.iter().map(|row| {
            vec![
                row.service.clone(),
                row.default.clone(),
                row.selectors.join(", "),
            ]
        });
        output::table(
            out,
            &["Service", "Default Version", "Version Selectors"],
            cells,
        )
    })?;
    Ok(())
}

fn row(service: &str, rules: &[Rule]) -> Row {
    let mut defaults: Vec<String> = Vec::new();
    let mut selectors: Vec<String> = Vec::new();
    for rule in rules {
        for backend in rule.route.iter().flat_map(|route| &route.backends) {
            let mut version = backend.tags.join(",");
            if let Some(other) = backend.name.as_deref().filter(|name| *name != service) {
                version = format!("{other}:{version}");
            }
            let mut conditions = rule.matches.as_ref().map(conditions).unwrap_or_default();
            conditions.extend(backend.weight.map(|weight| format!("weight={weight}")));
            match conditions.is_empty() {
                true => defaults.push(version),
                false => selectors.push(format!("{version}({})", conditions.join(","))),
            }
        }
    }
    selectors.sort();
    Row {
        service: service.to_owned(),
        default: defaults.join(", "),
        selectors,
    }
}

fn conditions(matches: &Match) -> Vec<String> {
    let source = matches
        .source
        .iter()
        .map(|s| format!("source={:?}", source(s)));
    let headers = matches
        .headers
        .iter()
        .map(|(name, pattern)| format!("header=\"{name}:{pattern}\""));
    let mut all: Vec<String> = source.chain(headers).collect();
    for (word, clauses) in [
        ("all", &matches.all),
        ("any", &matches.any),
        ("none", &matches.none),
    ] {
        if !clauses.is_empty() {
            let inner: Vec<String> = clauses.iter().map(|c| conditions(c).join("+")).collect();
            all.push(format!("{word}[{}]", inner.join("|")));
        }
    }
    all
}

/// `name:tag,tag`, as identities are written everywhere.
pub(super) fn source(source: &Source) -> String {
    match source.tags.is_empty() {
        true => source.name.clone(),
        false => format!("{}:{}", source.name, source.tags.join(",")),
    }
}
