//! `rule-delete`: asks a person first, unless told not to.

use crate::args::{Delete, Servers};
use crate::book::Book;
use crate::console::Console;
use crate::error::Error;

pub(super) async fn run(
    servers: &Servers,
    delete: &Delete,
    console: &mut Console,
) -> Result<(), Error> {
    let book = Book::open(servers).await?;
    if !delete.force && !confirmed(delete, console)? {
        writeln!(console.notes, "Nothing deleted")?;
        return Ok(());
    }
    book.delete(&delete.filter, &mut console.notes).await?;
    writeln!(console.output, "Request Completed")?;
    Ok(())
}

/// A script that names its rules means it; one that deletes all has to say so with `--force`.
fn confirmed(delete: &Delete, console: &mut Console) -> Result<bool, Error> {
    if !console.interactive {
        return match delete.all {
            true => Err(Error::NotConfirmed("this would delete all rules")),
            false => Ok(true),
        };
    }
    let asked = delete.filter.query();
    let which: Vec<String> = asked.iter().map(|(k, v)| format!("{k} {v}")).collect();
    match delete.all {
        true => write!(console.notes, "Delete all rules? [y/N] ")?,
        false => write!(
            console.notes,
            "Delete rules by {}? [y/N] ",
            which.join(", ")
        )?,
    }
    console.notes.flush()?;
    let mut answer = String::new();
    console.input.read_line(&mut answer)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
