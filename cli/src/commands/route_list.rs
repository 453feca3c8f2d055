//! `route-list`: per service, where requests go by default and what else picks a version.

use serde::Serialize;

use crate::args::{Filter, RouteList, Servers};
use crate::book::Book;
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::{Match, Rule, Source, Uri};

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
    let of_services = Filter {
        destination: list.service.clone(),
        ..Filter::default()
    };
    let book = Book::open(servers).await?;
    let routes = book.routes(&of_services, &mut console.notes).await?;
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

/// The rules come in the order in which they are tried. One that always holds lets none behind
/// it be reached, and a listing that hid that would tell of routes that are none.
fn row(service: &str, rules: &[Rule]) -> Row {
    let mut defaults: Vec<String> = Vec::new();
    let mut selectors: Vec<String> = Vec::new();
    let mut always: Option<&str> = None;
    for rule in rules {
        let Some(route) = &rule.route else { continue };
        let mut of_rule = rule.matches.as_ref().map(conditions).unwrap_or_default();
        of_rule.extend(route.uri.iter().flat_map(places));
        // A path is looked for whatever the request names.
        if let Some(id) = always.filter(|_| route.uri.is_none()) {
            of_rule.push(format!("behind={id}"));
        }
        for backend in &route.backends {
            let mut version = backend.tags.join(",");
            if let Some(other) = backend.name.as_deref().filter(|name| *name != service) {
                version = format!("{other}:{version}");
            }
            let mut conditions = of_rule.clone();
            conditions.extend(backend.weight.map(|weight| format!("weight={weight}")));
            match conditions.is_empty() {
                true => defaults.push(version),
                false => selectors.push(format!("{version}({})", conditions.join(","))),
            }
        }
        if of_rule.is_empty() {
            always = Some(&rule.id);
        }
    }
    selectors.sort();
    Row {
        service: service.to_owned(),
        default: defaults.join(", "),
        selectors,
    }
}

fn places(uri: &Uri) -> impl Iterator<Item = String> {
    let path = uri.path.iter().map(|path| format!("path={path:?}"));
    path.chain(uri.prefix.iter().map(|prefix| format!("prefix={prefix:?}")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RulesByService;

    #[test]
    fn a_route_says_when_it_is_taken() {
        let rules = r#"{"services": {"svc": [
            {"id":"u","route":{"uri":{"prefix":"/api"},"backends":[{"tags":["v4"],"name":"other","weight":0.5},{"tags":["v5"]}]}},
            {"id":"m","match":{"source":{"name":"web"}},"route":{"backends":[{"tags":["v3"]}]}},
            {"id":"hi","route":{"backends":[{"tags":["v2"]}]}},
            {"id":"lo","route":{"backends":[{"tags":["v1"]}]}},
            {"id":"p","route":{"uri":{"path":"/x"},"backends":[{"tags":["v6"]}]}}]}}"#;
        let routes: RulesByService = serde_json::from_str(rules).unwrap();
        let row = row("svc", &routes.services["svc"]);
        assert_eq!(row.default, "v2");
        assert_eq!(
            row.selectors,
            [
                r#"other:v4(prefix="/api",weight=0.5)"#,
                "v1(behind=hi)",
                r#"v3(source="web")"#,
                r#"v5(prefix="/api")"#,
                r#"v6(path="/x")"#,
            ]
        );
    }
}
