//! `explain`: where a request would go and why, as the sidecar that would route it says.

use std::io::{self, Write};

use serde::Deserialize;

use crate::args::{Explain, Servers};
use crate::console::Console;
use crate::error::Error;
use crate::guide::Guide;
use crate::output;
use crate::wire::{Chance, Considered, Explanation};

pub(super) async fn run(
    servers: &Servers,
    explain: &Explain,
    console: &mut Console,
) -> Result<(), Error> {
    let guide = Guide::open(servers, explain).await?;
    // Whole for machines, which are to see what this command does not know.
    let answer = guide.ask(explain, &mut console.notes).await?;
    let told = Explanation::deserialize(&answer).map_err(|e| Error::Answer {
        server: "sidecar",
        url: explain.sidecar_url.clone(),
        reason: e.to_string(),
    })?;
    output::listing(
        &mut console.output,
        explain.listing.output,
        &answer,
        |out| print(out, &told),
    )?;
    Ok(())
}

fn print(out: &mut dyn Write, told: &Explanation) -> io::Result<()> {
    let service = match told.known {
        true => told.destination.clone(),
        false => format!("{}, of which no instance is known", told.destination),
    };
    let rule = told.rule.as_deref().unwrap_or("none: the default route");
    for (what, text) in [
        ("From", &*told.from),
        ("To", &service),
        ("Rule", rule),
        ("Backend", &list(told.backends.iter().map(backend))),
        ("Instance", &list(told.instances.iter().cloned())),
    ] {
        writeln!(out, "{:<10}{text}", format!("{what}:"))?;
    }
    // A byte stream has no path.
    if !told.target.is_empty() {
        writeln!(out, "{:<10}{}", "Sent as:", told.target)?;
    }
    if !told.routing.is_empty() {
        let rows = told.routing.iter().map(considered);
        output::table(out, &["Route Rule", "Priority", "Holds", "Why"], rows)?;
    }
    if !told.actions.is_empty() {
        let rows = told.actions.iter().flat_map(actions);
        let header = ["Action Rule", "Priority", "Action", "Done", "Why"];
        output::table(out, &header, rows)?;
    }
    Ok(())
}

/// All of several, since the next request may fall to another of them.
fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => "-".to_owned(),
        false => texts.join(", "),
    }
}

fn backend(chance: &Chance) -> String {
    let name = match chance.tags.is_empty() {
        true => chance.name.clone(),
        false => format!("{}:{}", chance.name, chance.tags.join(",")),
    };
    let drawn = if chance.drawn { " (this time)" } else { "" };
    match chance.share < 1.0 {
        true => format!("{name} {} %{drawn}", percent(chance.share)),
        false => name,
    }
}

/// Without the noise that a tenth leaves in a binary fraction.
fn percent(share: f64) -> f64 {
    (share * 1e9).round() / 1e7
}

fn considered(rule: &Considered) -> Vec<String> {
    vec![
        rule.rule.clone(),
        rule.priority.to_string(),
        holds(&rule.outcome).to_owned(),
        rule.why.clone(),
    ]
}

fn actions(rule: &Considered) -> Vec<Vec<String>> {
    let row = |action: &str, done: &str, why: &str| {
        let cells = [&rule.rule, &*rule.priority.to_string(), action, done, why];
        cells.map(str::to_owned).to_vec()
    };
    if rule.actions.is_empty() {
        return vec![row("", holds(&rule.outcome), &rule.why)];
    }
    let of_rule = rule.actions.iter();
    of_rule
        .map(|a| row(&a.action, if a.done { "yes" } else { "no" }, &a.why))
        .collect()
}

fn holds(outcome: &str) -> &str {
    match outcome {
        "held" => "yes",
        "not_held" => "no",
        "not_tried" => "not tried",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = r#"{"from":"web:v1","destination":"reviews","rule":"canary",
        "backends":[{"name":"reviews","tags":["version=v2"],"share":0.29,"drawn":true},
            {"name":"reviews","tags":["version=v1"],"share":0.71,"drawn":false}],
        "target":"/x","timeout":15.0,"retries":0,
        "routing":[
            {"rule":"jason","priority":2,"outcome":"not_held","why":"header Cookie is not there"},
            {"rule":"canary","priority":1,"outcome":"held","why":"it has no match"}],
        "actions":[{"rule":"slow","priority":0,"outcome":"held","why":"its match holds",
            "actions":[{"action":"delay 7 s","done":false,"why":"its probability was not drawn"}]}],
        "known":true,"instances":["10.0.0.7:9080"]}"#;

    #[test]
    fn it_tells_what_and_why() {
        let mut out = Vec::new();
        print(&mut out, &serde_json::from_str(TOLD).unwrap()).unwrap();
        let wanted = "\
From:     web:v1
To:       reviews
Rule:     canary
Backend:  reviews:version=v2 29 % (this time), reviews:version=v1 71 %
Instance: 10.0.0.7:9080
Sent as:  /x
+------------+----------+-------+----------------------------+
| Route Rule | Priority | Holds | Why                        |
+------------+----------+-------+----------------------------+
| jason      | 2        | no    | header Cookie is not there |
| canary     | 1        | yes   | it has no match            |
+------------+----------+-------+----------------------------+
+-------------+----------+-----------+------+-------------------------------+
| Action Rule | Priority | Action    | Done | Why                           |
+-------------+----------+-----------+------+-------------------------------+
| slow        | 0        | delay 7 s | no   | its probability was not drawn |
+-------------+----------+-----------+------+-------------------------------+
";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn nobody_there_is_told_too() {
        let told = r#"{"from":"web","destination":"nobody","target":"/","known":false}"#;
        let mut out = Vec::new();
        print(&mut out, &serde_json::from_str(told).unwrap()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("nobody, of which no instance is known"),
            "{text}"
        );
        assert!(text.contains("the default route"), "{text}");
    }
}
