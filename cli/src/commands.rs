//! The commands, one file each.

mod action_list;
#[cfg(feature = "kubernetes")]
mod check;
mod explain;
mod export;
mod import;
mod info;
#[cfg(feature = "kubernetes")]
mod inject;
#[cfg(feature = "kubernetes")]
mod install;
mod route_list;
mod rule_delete;
mod rule_get;
mod rule_write;
mod service_list;

use clap::CommandFactory;

use crate::args::{Args, Command};
use crate::console::Console;
use crate::error::Error;
use rule_write::How;

/// Does what `args` say.
///
/// # Errors
/// [`Error`], whose text tells the reader what to do next.
pub async fn run(args: Args, console: &mut Console) -> Result<(), Error> {
    let servers = args.servers;
    match args.command {
        Command::RuleCreate(write) => rule_write::run(&servers, How::Create, &write, console).await,
        Command::RuleUpdate(write) => rule_write::run(&servers, How::Update, &write, console).await,
        Command::RuleGet(get) => rule_get::run(&servers, &get, console).await,
        Command::RuleDelete(delete) => rule_delete::run(&servers, &delete, console).await,
        Command::RouteList(list) => route_list::run(&servers, &list, console).await,
        Command::ActionList(list) => action_list::run(&servers, list, console).await,
        Command::ServiceList(listing) => service_list::run(&servers, &listing, console).await,
        Command::Explain(explain) => explain::run(&servers, &explain, console).await,
        Command::Export(export) => export::run(&servers, &export, console).await,
        Command::Import(import) => import::run(&servers, &import, console).await,
        #[cfg(feature = "kubernetes")]
        Command::Install(install) => install::run(&servers, &install, console).await,
        #[cfg(feature = "kubernetes")]
        Command::Check(listing) => check::run(&servers, &listing, console).await,
        #[cfg(feature = "kubernetes")]
        Command::Inject(inject) => inject::run(&inject, console),
        Command::Info(listing) => info::run(&servers, &listing, console),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "a8ctl", &mut script);
            Ok(console.output.write_all(&script)?)
        }
    }
}

#[cfg(test)]
mod tests;
