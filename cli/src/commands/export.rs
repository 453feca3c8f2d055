//! `export`: all that controller and registry hold, as one document.

use serde::Deserialize;
use serde_json::Value;

use crate::args::{Export, Filter, Part, Servers};
use crate::book::Book;
use crate::catalog::{Catalog, Which};
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::Contents;

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Value>,
}

#[derive(Deserialize)]
struct Instances {
    instances: Vec<Value>,
}

pub(super) async fn run(
    servers: &Servers,
    export: &Export,
    console: &mut Console,
) -> Result<(), Error> {
    let wanted = |part| export.only.is_none_or(|only| only == part);
    // Both first: half of an export looks like a whole one.
    let book = match wanted(Part::Rules) {
        true => Some(Book::open(servers).await?),
        false => None,
    };
    let catalog = match wanted(Part::Instances) {
        true => Some(Catalog::open(servers).await?),
        false => None,
    };
    let mut contents = Contents::default();
    if let Some(book) = book {
        let found = book.list(&Filter::default(), &mut console.notes).await?;
        let found = Rules::deserialize(found).map_err(|e| strange("rules", &e))?;
        contents.rules = found.rules;
    }
    if let Some(catalog) = catalog {
        let found = catalog.list(Which::All, &mut console.notes).await?;
        let found = Instances::deserialize(found).map_err(|e| strange("instances", &e))?;
        contents.instances = found.instances;
    }
    output::document(&mut console.output, export.output, &contents)?;
    let (rules, instances) = (contents.rules.len(), contents.instances.len());
    writeln!(console.notes, "{rules} rules, {instances} instances")?;
    Ok(())
}

fn strange(what: &'static str, e: &serde_json::Error) -> Error {
    let reason = e.to_string();
    Error::Listing { what, reason }
}
