//! `rule-get`: the rules as documents, ready to be edited and sent back.

use crate::args::{Filter, Get, Servers};
use crate::book::Book;
use crate::console::Console;
use crate::error::Error;
use crate::output;

pub(super) async fn run(servers: &Servers, get: &Get, console: &mut Console) -> Result<(), Error> {
    let book = Book::open(servers).await?;
    let all = Filter::default();
    let which = if get.all { &all } else { &get.filter };
    let rules = book.list(which, &mut console.notes).await?;
    Ok(output::document(&mut console.output, get.output, &rules)?)
}
