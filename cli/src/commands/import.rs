//! `import`: what `export` printed goes to other servers.
//!
//! It may be made again: a rule replaces the one of its id, and an instance keeps its id, which
//! follows from its service and endpoint. So services that live go on with their heartbeats.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::args::{Import, Part, Servers};
use crate::book::{Book, Change};
use crate::catalog::Catalog;
use crate::console::Console;
use crate::error::Error;
use crate::input;
use crate::wire::Contents;

/// Bytes of rules in one request, well below what a controller takes.
const MAX_REQUEST: usize = 512 << 10;

/// What registering takes of what a listing shows.
const MEMBERS: [&str; 6] = [
    "service_name",
    "endpoint",
    "ttl",
    "status",
    "tags",
    "metadata",
];

pub(super) async fn run(
    servers: &Servers,
    import: &Import,
    console: &mut Console,
) -> Result<(), Error> {
    let (name, document) = input::document(&import.file, "an export", console)?;
    let fault = |reason: String| Error::Document {
        name: name.clone(),
        reason,
    };
    let mut contents: Contents =
        serde_json::from_str(document.get()).map_err(|e| fault(e.to_string()))?;
    match import.only {
        Some(Part::Rules) => contents.instances.clear(),
        Some(Part::Instances) => contents.rules.clear(),
        None => {}
    }
    // All that can be found wrong is, before anything is changed.
    let book = match contents.rules.is_empty() {
        true => None,
        false => Some(Book::open(servers).await?),
    };
    let catalog = match contents.instances.is_empty() {
        true => None,
        false => Some(Catalog::open(servers).await?),
    };
    if let Some(catalog) = &catalog {
        catalog.takes_instances()?;
    }
    let requests = requests(&contents.rules).map_err(|e| fault(e.to_string()))?;
    let mut registrations = Vec::new();
    for (n, instance) in contents.instances.iter().enumerate() {
        let registration = registration(instance);
        registrations
            .push(registration.ok_or_else(|| fault(format!("instances[{n}]: must be an object")))?);
    }
    if let Some(book) = &book {
        send_rules(book, &requests, true, console).await?;
    }
    let done = match import.dry_run {
        true => "The rules are good; nothing was changed.",
        false => {
            // Rules last: they may send requests to what was registered.
            if let Some(catalog) = &catalog {
                for body in &registrations {
                    catalog.register(body, &mut console.notes).await?;
                }
            }
            if let Some(book) = &book {
                send_rules(book, &requests, false, console).await?;
            }
            "Imported."
        }
    };
    let (rules, instances) = (contents.rules.len(), contents.instances.len());
    writeln!(
        console.output,
        "{rules} rules, {instances} instances. {done}"
    )?;
    Ok(())
}

async fn send_rules(
    book: &Book,
    requests: &[Box<RawValue>],
    dry_run: bool,
    console: &mut Console,
) -> Result<(), Error> {
    for document in requests {
        let change = Change {
            document,
            dry_run,
            if_revision: None,
        };
        book.create(change, &mut console.notes).await?;
    }
    Ok(())
}

/// The rules as few documents, each small enough for a request.
fn requests(rules: &[Value]) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    let mut requests = Vec::new();
    let mut some: Vec<&Value> = Vec::new();
    let mut bytes = 0;
    let wrap = |some: &[&Value]| to_raw_value(&json!({ "rules": some }));
    for rule in rules {
        let more = serde_json::to_vec(rule)?.len() + 1;
        if bytes + more > MAX_REQUEST && !some.is_empty() {
            requests.push(wrap(&some)?);
            some.clear();
            bytes = 0;
        }
        some.push(rule);
        bytes += more;
    }
    if !some.is_empty() {
        requests.push(wrap(&some)?);
    }
    Ok(requests)
}

fn registration(instance: &Value) -> Option<Box<RawValue>> {
    let mut members = instance.as_object()?.clone();
    members.retain(|name, _| MEMBERS.contains(&name.as_str()));
    to_raw_value(&members).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rules_are_several_requests_and_none_is_lost() {
        let rules: Vec<Value> = (0..5000)
            .map(|n| json!({"id": n.to_string(), "destination": "x".repeat(300)}))
            .collect();
        let requests = requests(&rules).unwrap();
        assert!(requests.len() > 2, "{}", requests.len());
        let mut sent = Vec::new();
        for request in &requests {
            assert!(request.get().len() < 1 << 20);
            let document: Contents = serde_json::from_str(request.get()).unwrap();
            sent.extend(document.rules);
        }
        assert_eq!(sent, rules);
        assert!(super::requests(&[]).unwrap().is_empty());
    }

    #[test]
    fn an_instance_is_registered_by_what_it_is() {
        let listed = json!({"id": "1", "service_name": "a", "ttl": 30, "last_heartbeat": "x"});
        let body = registration(&listed).unwrap();
        assert_eq!(body.get(), r#"{"service_name":"a","ttl":30}"#);
    }
}
