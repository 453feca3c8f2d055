//! The operator's command: rules in, tables out.
//!
//! | module | owns |
//! |---|---|
//! | `args` | flags, variables and subcommands |
//! | `commands` | one file a command |
//! | `book`, `catalog`, `guide` | rules, instances and explanations, from servers or from a cluster |
//! | `client` | calls of the controller, the registry and sidecars |
//! | `cluster` | the same from the objects of a Kubernetes cluster |
//! | `input` | rule files and standard input |
//! | `output` | tables, JSON and YAML |
//!
//! Exit codes: 0 done, 1 refused or unreachable, 2 wrong usage.

mod args;
mod book;
mod catalog;
mod client;
#[cfg(feature = "kubernetes")]
mod cluster;
mod commands;
mod console;
mod error;
mod guide;
mod input;
mod output;
mod wire;
#[cfg(feature = "kubernetes")]
mod yaml;

pub use args::Args;
pub use commands::run;
pub use console::Console;
pub use error::Error;
