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
const CLEAR: &str = "\x1b[2J\x1b[H";
/// A terminal smaller than this gets plain lines.
const MIN_COLUMNS: usize = 80;
const MIN_ROWS: usize = 24;

/// Whether the output can be redrawn in place.
pub(super) fn can_redraw() -> bool {
    io::stdout().is_terminal()
        && size().is_some_and(|(columns, rows)| columns >= MIN_COLUMNS && rows >= MIN_ROWS)
}

/// Columns and rows of the terminal.
fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// As much of `line` as fits; the sequences that [`bold`] and [`dim`] make take no room.
fn clipped(line: &str, columns: usize) -> String {
    let mut room = columns;
    let mut in_sequence = false;
    let fits = |c: &char| {
        if *c == '\x1b' {
            in_sequence = true;
        }
        if in_sequence {
            in_sequence = *c != 'm';
            return true;
        }
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits
    };
    line.chars().filter(fits).collect()
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
    /// Columns and rows of the terminal when it was last drawn.
    size: (usize, usize),
}

impl Picture {
    /// Draws `lines` over what was drawn before.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let (columns, rows) = size().unwrap_or(self.size);
        let mut text = String::new();
        if self.height > 0 && self.size != (columns, rows) {
            // The terminal has moved what was drawn to where nobody can tell.
            text.push_str(CLEAR);
        } else if self.height > 0 {
            text.push_str(&format!("\x1b[{}A", self.height));
        }
        self.size = (columns, rows);
        // What does not fit would wrap or scroll, and be drawn over at the wrong place.
        let lines = &lines[..lines.len().min(rows.saturating_sub(1))];
        for line in lines {
            text.push_str(&clipped(line, columns));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(clipped("ab█d", 4), "ab█d");
        assert_eq!(clipped("ab█d", 3), "ab█");
        assert_eq!(clipped(&bold("abcd"), 2), bold("ab"));
        assert_eq!(clipped("abcd", 0), "");
    }
}
