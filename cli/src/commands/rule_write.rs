//! `rule-create` and `rule-update`: a document goes to the book as it stands.

use crate::args::{Document, Servers, Write};
use crate::book::{Book, Change};
use crate::console::Console;
use crate::error::Error;
use crate::{input, output};

/// What becomes of a rule whose id is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It is made.
    Create,
    /// It is refused.
    Update,
}

pub(super) async fn run(
    servers: &Servers,
    how: How,
    write: &Write,
    console: &mut Console,
) -> Result<(), Error> {
    // Asked for first: nobody should type a document for a server that has no address.
    let book = Book::open(servers).await?;
    let rules = input::rules(&write.file, console)?;
    let change = Change {
        document: &rules,
        dry_run: write.dry_run,
        if_revision: write.if_revision,
    };
    let answer = match how {
        How::Create => book.create(change, &mut console.notes).await?,
        How::Update => book.update(change, &mut console.notes).await?,
    };
    if how == How::Create || write.dry_run {
        output::document(&mut console.output, Document::Json, &answer)?;
    } else {
        writeln!(console.output, "Request Completed")?;
    }
    Ok(())
}
