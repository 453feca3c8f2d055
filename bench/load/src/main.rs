//! `a8load`: see [`a8_load`].

use std::io::Write;
use std::process::ExitCode;

use a8_load::{Plan, backend};
use clap::{Parser, Subcommand};

/// Makes load for a proxy, and answers it
#[derive(Parser)]
#[command(name = "a8load", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer requests until the process is ended
    Backend(backend::Ports),
    /// Make requests, and print how they went as one JSON object
    Run(Plan),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Args::parse().command {
        Command::Backend(ports) => backend::serve(ports).await.map_err(|e| e.to_string()),
        Command::Run(plan) => match a8_load::run(plan).await {
            Ok(summary) => print(&summary),
            Err(e) => Err(e.to_string()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            // Nothing can be done when standard error itself is gone.
            let _ = writeln!(std::io::stderr(), "a8load: {e}");
            ExitCode::from(1)
        }
    }
}

fn print(summary: &a8_load::Summary) -> Result<(), String> {
    let line = serde_json::to_string(summary).map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{line}").map_err(|e| e.to_string())
}
