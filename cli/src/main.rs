//! `a8ctl`: see [`a8_cli`].

use std::io::Write;
use std::process::ExitCode;

use a8_cli::{Args, Console, run};
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args, &mut Console::real()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.is_closed_pipe() => ExitCode::SUCCESS,
        Err(e) => {
            // Nothing can be done when standard error itself is gone.
            let _ = writeln!(std::io::stderr(), "a8ctl: {e}");
            ExitCode::from(1)
        }
    }
}
