//! The terminal as the commands see it, so that tests can be one.

use std::io::{BufRead, IsTerminal, Write};

/// Where a command reads and writes.
pub struct Console {
    /// Answers and documents.
    pub input: Box<dyn BufRead>,
    /// Results.
    pub output: Box<dyn Write>,
    /// Questions and the trace of `--debug`.
    pub notes: Box<dyn Write>,
    /// Whether a person is at the other end of `input`.
    pub interactive: bool,
}

impl Console {
    /// Standard input, output and error of this process.
    pub fn real() -> Self {
        let stdin = std::io::stdin();
        Self {
            interactive: stdin.is_terminal(),
            input: Box::new(std::io::BufReader::new(stdin)),
            output: Box::new(std::io::stdout()),
            notes: Box::new(std::io::stderr()),
        }
    }
}
