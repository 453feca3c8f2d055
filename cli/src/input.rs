//! Rule files and standard input.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::console::Console;
use crate::error::Error;

/// More than any server takes in one request.
const MAX_BYTES: u64 = 16 << 20;

/// Reads the rules of `file` (`-`: standard input) in the form that the controller takes.
///
/// Only the syntax is checked here: what a rule may say is for the server to judge.
///
/// # Errors
/// [`Error::Read`] and [`Error::Document`], both naming the file.
pub(crate) fn rules(file: &str, console: &mut Console) -> Result<Box<RawValue>, Error> {
    let (name, document) = document(file, "rules", console)?;
    wrap(document).map_err(|reason| Error::Document { name, reason })
}

/// Reads the document of `file` (`-`: standard input, which is asked for `what`), and tells
/// what the file is called.
///
/// # Errors
/// [`Error::Read`] and [`Error::Document`], both naming the file.
pub(crate) fn document(
    file: &str,
    what: &str,
    console: &mut Console,
) -> Result<(String, Box<RawValue>), Error> {
    let (name, text) = text(file, &format!("{what} as JSON or YAML"), console)?;
    let document = parse(&name, &text)?;
    Ok((name, document))
}

/// Reads the text of `file` (`-`: standard input, which is asked for `what`), and tells what the
/// file is called.
///
/// # Errors
/// [`Error::Read`], and [`Error::Document`] where it is too long; both name the file.
pub(crate) fn text(
    file: &str,
    what: &str,
    console: &mut Console,
) -> Result<(String, String), Error> {
    if file == "-" {
        let name = "standard input".to_owned();
        if console.interactive {
            writeln!(console.notes, "Enter {what}, then Ctrl-D:")?;
        }
        let text = read(&mut console.input, &name)?;
        Ok((name, text))
    } else {
        let open = std::fs::File::open(file);
        let mut opened = open.map_err(|source| Error::Read {
            name: file.to_owned(),
            source,
        })?;
        Ok((file.to_owned(), read(&mut opened, file)?))
    }
}

fn read(from: &mut dyn Read, name: &str) -> Result<String, Error> {
    let mut text = String::new();
    let source = |source| Error::Read {
        name: name.to_owned(),
        source,
    };
    from.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(source)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::Document {
            name: name.to_owned(),
            reason: format!("is larger than {} MiB", MAX_BYTES >> 20),
        });
    }
    Ok(text)
}

/// JSON or YAML by the file's extension. Without one: whatever reads, since YAML's flow style
/// begins like JSON; the fault reported is that of the likelier of the two.
///
/// JSON is kept as it was written, so that a member that is there twice is for the server to
/// see.
fn parse(name: &str, text: &str) -> Result<Box<RawValue>, Error> {
    let json =
        || serde_json::from_str::<Box<RawValue>>(text).map_err(|e| format!("is not JSON: {e}"));
    let yaml = || {
        let value = serde_saphyr::from_str::<Value>(text).map_err(|e| e.to_string());
        value
            .and_then(|value| to_raw_value(&value).map_err(|e| e.to_string()))
            .map_err(|e| format!("is not YAML: {e}"))
    };
    let parsed = match Path::new(name).extension().and_then(|e| e.to_str()) {
        Some("json") => json(),
        Some("yaml" | "yml") => yaml(),
        _ if text.trim_start().starts_with(['{', '[']) => json().or_else(|e| yaml().map_err(|_| e)),
        _ => yaml(),
    };
    parsed.map_err(|reason| Error::Document {
        name: name.to_owned(),
        reason,
    })
}

fn wrap(document: Box<RawValue>) -> Result<Box<RawValue>, String> {
    let text = document.get();
    let wrapped = match text.chars().next() {
        Some('{') => {
            let members: BTreeMap<String, IgnoredAny> =
                serde_json::from_str(text).map_err(|e| e.to_string())?;
            if members.contains_key("rules") {
                return Ok(document);
            }
            format!(r#"{{"rules":[{text}]}}"#)
        }
        Some('[') => format!(r#"{{"rules":{text}}}"#),
        _ => {
            let what = if text == "null" {
                "is empty"
            } else {
                "holds no rule"
            };
            return Err(format!(
                "{what}; a rule, a list of rules or {{rules: [...]}} is needed"
            ));
        }
    };
    RawValue::from_string(wrapped).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_a_list_and_a_document_all_become_a_document() {
        let wanted = r#"{"rules":[{"destination":"a"}]}"#;
        for text in [
            "destination: a",
            "- destination: a",
            "rules:\n- destination: a",
            "{\"destination\":\"a\"}",
        ] {
            let document = wrap(parse("-", text).unwrap()).unwrap();
            assert_eq!(document.get(), wanted, "{text}");
        }
        for (text, said) in [("", "is empty"), ("7", "holds no rule")] {
            let fault = wrap(parse("-", text).unwrap()).unwrap_err();
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn json_is_sent_as_it_was_written() {
        let text = r#"[ {"priority": 1.50, "priority": 2} ]"#;
        let document = wrap(parse("r.json", text).unwrap()).unwrap();
        assert_eq!(document.get(), format!(r#"{{"rules":{text}}}"#));
    }

    #[test]
    fn a_fault_of_syntax_names_file_and_line() {
        let fault = parse("r.json", "{\n\"a\": }").unwrap_err().to_string();
        assert!(
            fault.starts_with("r.json: is not JSON") && fault.contains("line 2"),
            "{fault}"
        );
        let fault = parse("r.yaml", "a: 1\nb: [").unwrap_err().to_string();
        assert!(
            fault.starts_with("r.yaml: is not YAML") && fault.contains("line"),
            "{fault}"
        );
    }
}
