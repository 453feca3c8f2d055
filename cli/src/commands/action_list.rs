//! `action-list`: faults and traces, and whom they hit.

use serde::Serialize;

use super::route_list::source;
use crate::args::{ActionList, Servers};
use crate::book::Book;
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::{Action, Rule};

#[derive(Serialize)]
struct Row {
    destination: String,
    id: String,
    priority: i64,
    #[serde(rename = "match", skip_serializing_if = "String::is_empty")]
    source: String,
    actions: Vec<String>,
    headers: Vec<String>,
}

pub(super) async fn run(
    servers: &Servers,
    list: ActionList,
    console: &mut Console,
) -> Result<(), Error> {
    let mut filter = list.filter;
    filter.destination.extend(list.service);
    let book = Book::open(servers).await?;
    let actions = book.actions(&filter, &mut console.notes).await?;
    let rows: Vec<Row> = actions.services.values().flatten().map(row).collect();
    output::listing(&mut console.output, list.listing.output, &rows, |out| {
        let header = [
            "Destination",
            "Source",
            "Headers",
            "Priority",
            "Actions",
            "Rule ID",
        ];
        output::table(out, &header, rows.iter().map(cells))
    })?;
    Ok(())
}

fn row(rule: &Rule) -> Row {
    let matches = rule.matches.as_ref();
    Row {
        destination: rule.destination.clone(),
        id: rule.id.clone(),
        priority: rule.priority,
        source: matches
            .and_then(|m| m.source.as_ref())
            .map(source)
            .unwrap_or_default(),
        actions: rule.actions.iter().map(action).collect(),
        headers: matches
            .map(|m| {
                m.headers
                    .iter()
                    .map(|(name, pattern)| format!("{name}:{pattern}"))
                    .collect()
            })
            .unwrap_or_default(),
    }
}

fn cells(row: &Row) -> Vec<String> {
    vec![
        row.destination.clone(),
        row.source.clone(),
        row.headers.join(", "),
        row.priority.to_string(),
        row.actions.join(", "),
        row.id.clone(),
    ]
}

fn action(action: &Action) -> String {
    let tags = action.tags.join(",");
    let probability = action.probability;
    match action.action.as_str() {
        "delay" => format!("{tags}({probability}->delay={})", action.duration),
        "abort" => format!("{tags}({probability}->abort={})", action.return_code),
        other => format!("{tags}({other})"),
    }
}
