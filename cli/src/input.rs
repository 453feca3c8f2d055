//! Rule files and standard input.

use std::io::{Read, Write};
use std::path::Path;

use serde_json::{Value, json};

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
pub(crate) fn rules(file: &str, console: &mut Console) -> Result<Value, Error> {
    let (name, text) = if file == "-" {
        let name = "standard input".to_owned();
        if console.interactive {
            writeln!(console.notes, "Enter rules as JSON or YAML, then Ctrl-D:")?;
        }
        let text = read(&mut console.input, &name)?;
        (name, text)
    } else {
        let open = std::fs::File::open(file);
        let mut opened = open.map_err(|source| Error::Read {
            name: file.to_owned(),
            source,
        })?;
        (file.to_owned(), read(&mut opened, file)?)
    };
    let document = parse(&name, &text)?;
    wrap(document).map_err(|reason| Error::Document {
        name,
        reason: reason.into(),
    })
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
fn parse(name: &str, text: &str) -> Result<Value, Error> {
    let json = || serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"));
    let yaml = || serde_saphyr::from_str(text).map_err(|e| format!("is not YAML: {e}"));
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

fn wrap(document: Value) -> Result<Value, &'static str> {
    match document {
        Value::Object(members) if members.contains_key("rules") => Ok(Value::Object(members)),
        Value::Object(_) => Ok(json!({ "rules": [document] })),
        Value::Array(_) => Ok(json!({ "rules": document })),
        Value::Null => Err("is empty; a rule, a list of rules or {rules: [...]} is needed"),
        _ => Err("holds no rule; a rule, a list of rules or {rules: [...]} is needed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_a_list_and_a_document_all_become_a_document() {
        let wanted = json!({"rules": [{"destination": "a"}]});
        for text in [
            "destination: a",
            "- destination: a",
            "rules:\n- destination: a",
            "{\"destination\": \"a\"}",
        ] {
            assert_eq!(
                wrap(parse("-", text).unwrap()),
                Ok(wanted.clone()),
                "{text}"
            );
        }
        assert!(wrap(parse("-", "").unwrap()).is_err());
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
