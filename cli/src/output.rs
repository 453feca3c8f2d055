//! Tables for people, JSON and YAML for machines.

use std::io::{self, Write};

use comfy_table::presets::ASCII_FULL_CONDENSED;
use comfy_table::{LineStyle, Table};
use serde::Serialize;

use crate::args::{Document, Format};

/// Prints `rows` below `header`, in the look that the original's scripts know.
pub(crate) fn table(
    out: &mut dyn Write,
    header: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(ASCII_FULL_CONDENSED.header_separator(LineStyle::new('+', '-', '+', '+')));
    table.set_header(header.iter().copied());
    table.add_rows(rows);
    writeln!(out, "{table}")
}

/// Prints `value` as `format` says; `as_table` draws the table.
pub(crate) fn listing(
    out: &mut dyn Write,
    format: Format,
    value: &impl Serialize,
    as_table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match format {
        Format::Table => as_table(out),
        Format::Json => document(out, Document::Json, value),
        Format::Yaml => document(out, Document::Yaml, value),
    }
}

/// Prints `value` whole.
pub(crate) fn document(
    out: &mut dyn Write,
    format: Document,
    value: &impl Serialize,
) -> io::Result<()> {
    match format {
        Document::Json => {
            serde_json::to_writer_pretty(&mut *out, value)?;
            writeln!(out)
        }
        Document::Yaml => {
            let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
            writeln!(out, "{}", text.trim_end())
        }
    }
}
