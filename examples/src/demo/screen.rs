//! The terminal: a picture that is redrawn in place, and single keys.
//!
//! Where output is not a terminal, or the terminal is too small, plain lines are written.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncReadExt;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";
const END_OF_LINE: &str = "\x1b[K";
const BELOW: &str = "\x1b[J";
/// A terminal smaller than this gets plain lines.
const MIN_COLUMNS: u16 = 80;
const MIN_ROWS: u16 = 24;

/// Whether the output can be redrawn in place.
pub(super) fn can_redraw() -> bool {
    io::stdout().is_terminal()
        && tcgetwinsize(io::stdout())
            .is_ok_and(|size| size.ws_col >= MIN_COLUMNS && size.ws_row >= MIN_ROWS)
}

/// Prints a line. When nobody reads any more, that is no reason to fall over.
pub(super) fn say(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// A part of the terminal that is drawn again and again.
#[derive(Default)]
pub(super) struct Picture {
    height: usize,
}

impl Picture {
    /// Draws `lines` over what was drawn before.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.height > 0 {
            text.push_str(&format!("\x1b[{}A", self.height));
        }
        for line in lines {
            text.push_str(line);
            text.push_str(END_OF_LINE);
            text.push('\n');
        }
        text.push_str(BELOW);
        self.height = lines.len();
        let mut out = io::stdout().lock();
        // A terminal that is gone cannot be told so.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Text that stands out.
pub(super) fn bold(text: &str) -> String {
    format!("{BOLD}{text}{PLAIN}")
}

/// Text that stands back.
pub(super) fn dim(text: &str) -> String {
    format!("{DIM}{text}{PLAIN}")
}

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Enter or space.
    Next,
    /// `q`.
    Quit,
}

/// Single keys from the terminal, which shows none of them meanwhile. Dropping it gives the
/// terminal back as it was.
pub(super) struct Keys {
    before: Termios,
    input: tokio::io::Stdin,
}

impl Keys {
    /// `None` when nobody sits at a terminal.
    pub(super) fn grab() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        // Signals stay on: Ctrl-C ends the demo as everywhere else.
        raw.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self {
            before,
            input: tokio::io::stdin(),
        })
    }

    /// The next key that means something. Cancel-safe.
    pub(super) async fn next(&mut self) -> Key {
        loop {
            match self.input.read_u8().await {
                Ok(b'\n' | b'\r' | b' ') => return Key::Next,
                Ok(b'q' | b'Q') => return Key::Quit,
                Ok(_) => (),
                // The terminal is gone, or somebody typed Ctrl-D.
                Err(_) => return Key::Quit,
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing given back.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
