//! The operator's command: rules in, tables out.
//!
//! | module | owns |
//! |---|---|
//! | `args` | flags, variables and subcommands |
//! | `commands` | one file a command |
//! | `client` | calls of the controller, the registry and sidecars |
//! | `input` | rule files and standard input |
//! | `output` | tables, JSON and YAML |
//!
//! Exit codes: 0 done, 1 refused or unreachable, 2 wrong usage.

mod args;
mod client;
mod commands;
mod console;
mod error;
mod input;
mod output;
mod wire;

pub use args::Args;
pub use commands::run;
pub use console::Console;
pub use error::Error;
