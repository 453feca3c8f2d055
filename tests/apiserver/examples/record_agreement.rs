//! Asks a real API server what the double must answer, and writes the answers into the tables
//! of the agreement test. See `tests/apiserver/README.md`.

use std::path::PathBuf;

use clap::Parser;

#[path = "../tests/agreement/replay.rs"]
mod replay;

use replay::{Failed, table};

/// Records the answers of a real API server, or of the double where no file is given
#[derive(Parser)]
struct Arguments {
    /// Who may do everything on a cluster that nobody else uses
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Only tell where the answers differ from the recorded ones
    #[arg(long)]
    compare: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    let kubeconfig = std::fs::read_to_string(&arguments.kubeconfig)?;
    let tables = table::read()?;
    replay::clean(&kubeconfig).await?;
    let answers = replay::ask(&kubeconfig, &tables).await;
    replay::clean(&kubeconfig).await?;
    let answers = answers?;
    if arguments.compare {
        let found = replay::differences(&tables, &answers, false);
        println!("{}", found.join("\n\n"));
        return if found.is_empty() {
            Ok(())
        } else {
            Err(format!("{} answers differ", found.len()).into())
        };
    }
    let server = replay::version(&kubeconfig).await?;
    for (table, answers) in tables.iter().zip(&answers) {
        table::write(table, &server, answers)?;
    }
    Ok(())
}
