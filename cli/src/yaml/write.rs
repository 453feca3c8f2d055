//! From nodes to text, such that every reader of YAML 1.1 or 1.2 takes a text for a text.

use std::fmt::Write;

use super::{Content, Node};

/// What some reader takes for something else than a text.
const WORDS: [&str; 12] = [
    "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity",
];

/// The documents, each with `---` before it but the first.
pub(crate) fn print(documents: &[Node]) -> String {
    let mut out = String::new();
    for (at, document) in documents.iter().enumerate() {
        if at > 0 {
            out.push_str("---\n");
        }
        block(&mut out, document, 0);
    }
    out
}

/// A node that stands where a line begins, on lines of its own.
fn block(out: &mut String, node: &Node, indent: usize) {
    match &node.content {
        Content::List(entries) if !entries.is_empty() && node.tag.is_none() => {
            list(out, entries, indent);
        }
        Content::Map(members) if !members.is_empty() && node.tag.is_none() => {
            map(out, members, indent, false);
        }
        _ => {
            inline(out, node, indent);
        }
    }
}

fn list(out: &mut String, entries: &[Node], indent: usize) {
    for entry in entries {
        pad(out, indent);
        match &entry.content {
            Content::Map(members) if !members.is_empty() && entry.tag.is_none() => {
                out.push_str("- ");
                map(out, members, indent + 2, true);
            }
            _ => {
                out.push('-');
                value(out, entry, indent + 2);
            }
        }
    }
}

/// `begun`: the line of the first member has its indentation already.
fn map(out: &mut String, members: &[(Node, Node)], indent: usize, begun: bool) {
    for (at, (name, member)) in members.iter().enumerate() {
        if at > 0 || !begun {
            pad(out, indent);
        }
        match &name.content {
            Content::Plain(_) | Content::Text(_) => {
                tag(out, name);
                out.push_str(&scalar(name));
                out.push(':');
                // A list stands below its name, as kubectl has it.
                let inner = match &member.content {
                    Content::List(_) => indent,
                    _ => indent + 2,
                };
                value(out, member, inner);
            }
            Content::List(_) | Content::Map(_) => {
                out.push('?');
                value(out, name, indent + 2);
                pad(out, indent);
                out.push(':');
                value(out, member, indent + 2);
            }
        }
    }
}

/// What comes after a name or a dash, to the end of its last line.
fn value(out: &mut String, node: &Node, indent: usize) {
    let nested = match &node.content {
        Content::List(entries) => !entries.is_empty(),
        Content::Map(members) => !members.is_empty(),
        Content::Plain(_) | Content::Text(_) => false,
    };
    out.push(' ');
    if !nested {
        inline(out, node, indent);
        return;
    }
    tag(out, node);
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
    match &node.content {
        Content::List(entries) => list(out, entries, indent),
        Content::Map(members) => map(out, members, indent, false),
        Content::Plain(_) | Content::Text(_) => {}
    }
}

/// A scalar, or something empty.
fn inline(out: &mut String, node: &Node, indent: usize) {
    tag(out, node);
    match &node.content {
        Content::List(entries) if entries.is_empty() => out.push_str("[]"),
        Content::Map(members) if members.is_empty() => out.push_str("{}"),
        Content::List(entries) => {
            out.push('\n');
            return list(out, entries, indent);
        }
        Content::Map(members) => {
            out.push('\n');
            return map(out, members, indent, false);
        }
        Content::Text(text) if is_literal(text) => return literal(out, text, indent.max(2)),
        Content::Plain(_) | Content::Text(_) => out.push_str(&scalar(node)),
    }
    out.push('\n');
}

fn tag(out: &mut String, node: &Node) {
    if let Some(tag) = &node.tag {
        out.push_str(tag);
        out.push(' ');
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A scalar on one line.
fn scalar(node: &Node) -> String {
    match &node.content {
        Content::Plain(text) if text.is_empty() => match node.tag {
            None => "null".to_owned(),
            Some(_) => quoted(text),
        },
        Content::Plain(text) if !text.contains('\n') => text.clone(),
        Content::Plain(text) | Content::Text(text) => match is_text(text) {
            true => text.clone(),
            false => quoted(text),
        },
        Content::List(_) | Content::Map(_) => String::new(),
    }
}

/// Whether every reader takes it for a text without quotes.
fn is_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let first = bytes
        .first()
        .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/');
    let inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_./ ()=,".contains(b);
    // A colon within a word, as names of images have it.
    let within = |pair: &[u8]| pair[0] != b':' || pair[1].is_ascii_alphanumeric();
    let word = text.to_ascii_lowercase();
    first
        && bytes.iter().all(|b| inner(b) || *b == b':')
        && bytes.windows(2).all(within)
        && bytes.last() != Some(&b':')
        && bytes.last() != Some(&b' ')
        && !WORDS.contains(&word.as_str())
}

/// In double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            // Writing to a string cannot fail.
            c => drop(match u32::from(c) {
                code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                code @ 0..=0xffff => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            }),
        }
    }
    out.push('"');
    out
}

fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
        )
}

/// Whether it can stand as lines below `|`.
fn is_literal(text: &str) -> bool {
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && !text.ends_with("\n\n")
        && !text.split('\n').any(blank)
        && text
            .chars()
            .all(|c| c == '\n' || c == '\t' || is_printable(c))
}

fn literal(out: &mut String, text: &str, indent: usize) {
    let (mark, text) = match text.strip_suffix('\n') {
        Some(text) => ("|\n", text),
        None => ("|-\n", text),
    };
    out.push_str(mark);
    for line in text.split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
}
