//! Writes what a release has beside its programs: manual pages and completions for shells, made
//! from the same tables as `--help`. Called by `make release`:
//!
//!     cargo run --package a8-tests --example manuals -- FOLDER

use std::io::{self, Write};
use std::path::Path;

use a8_common::config::command;
use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;

/// What each program says of its exit codes, which is no part of the flags.
const EXIT: &str = ".SH EXIT STATUS\n0 after an orderly end, 1 after a failure, 64 for bad settings, \
    128+n after a second signal n.";
const EXIT_CTL: &str = ".SH EXIT STATUS\n0 done, 1 refused or unreachable, 2 wrong usage.";

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "say which folder to write to")
    })?;
    let folder = Path::new(&folder);
    let servers = [
        &a8_registry::config::COMPONENT,
        &a8_controller::config::COMPONENT,
        &a8_sidecar::config::COMPONENT,
    ];
    for server in servers {
        write(&command(server), EXIT, folder)?;
    }
    write(&a8_cli::Args::command(), EXIT_CTL, folder)
}

/// The pages of a program and of its subcommands, and its completions.
fn write(program: &Command, exit: &str, folder: &Path) -> io::Result<()> {
    let name = program.get_name().to_owned();
    let manuals = folder.join("man/man1");
    let completions = folder.join("completions");
    std::fs::create_dir_all(&manuals)?;
    std::fs::create_dir_all(&completions)?;
    let page = manual(program.clone(), exit)?;
    std::fs::write(manuals.join(format!("{name}.1")), page)?;
    let mut built = program.clone();
    built.build();
    for sub in built.get_subcommands() {
        let full = format!("{name}-{}", sub.get_name());
        if sub.get_name() == "help" {
            continue;
        }
        let sub = sub.clone().display_name(full.clone());
        let page = manual(sub, exit)?;
        std::fs::write(manuals.join(format!("{full}.1")), page)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut program.clone(), &name, &completions)?;
    }
    Ok(())
}

/// The page of a program or of a subcommand. Its synopsis does not list all flags, of which a
/// server has dozens.
fn manual(program: Command, exit: &str) -> io::Result<Vec<u8>> {
    let usage = program.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    let page = Man::new(program.clone());
    let mut to = Vec::new();
    page.render_title(&mut to)?;
    page.render_name_section(&mut to)?;
    writeln!(to, ".SH SYNOPSIS\n{usage}")?;
    page.render_description_section(&mut to)?;
    page.render_options_section(&mut to)?;
    if program.has_subcommands() {
        page.render_subcommands_section(&mut to)?;
    }
    writeln!(to, "{exit}")?;
    Ok(to)
}
