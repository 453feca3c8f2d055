//! Members of earlier answers in later requests: `${name.metadata.uid}`; and `${x * 300}`, a
//! text that often.

use std::collections::BTreeMap;

use regex::{NoExpand, Regex};
use serde_json::Value;

use super::Failed;

/// The variables that a request has used, by their names in the tables.
#[derive(Default)]
pub(crate) struct Variables {
    used: Vec<(String, String)>,
    /// What names begin with that the server makes up.
    generated: Option<Regex>,
}

impl Variables {
    /// Puts values in the place of variables.
    pub(crate) fn fill(
        &mut self,
        text: &str,
        answers: &BTreeMap<String, Value>,
    ) -> Result<String, Failed> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (variable, after) = after.split_once('}').ok_or("a variable without an end")?;
            filled += before;
            rest = after;
            if let Some((text, times)) = variable.split_once(" * ") {
                filled += &text.repeat(times.parse()?);
                continue;
            }
            let (name, path) = variable.split_once('.').unwrap_or((variable, ""));
            let pointer = format!("/{}", path.replace('.', "/"));
            let found = answers
                .get(name)
                .and_then(|answer| answer.pointer(&pointer));
            let value = match found {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                // The answer that lacks it is told of by itself.
                None => "missing".into(),
            };
            filled += &value;
            self.used.push((value, format!("${{{variable}}}")));
        }
        Ok(filled + rest)
    }

    /// Expects a name that the server makes up.
    pub(crate) fn expect_generated(&mut self, start: &str) -> Result<(), Failed> {
        let name = format!("{}[a-z0-9]{{5}}", regex::escape(start));
        self.generated = Some(Regex::new(&name)?);
        Ok(())
    }

    /// Puts variables in the place of values again.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, variable) in &self.used {
            let whole = Regex::new(&format!(r"\b{}\b", regex::escape(value)));
            if let Ok(whole) = whole {
                text = whole.replace_all(&text, NoExpand(variable)).into_owned();
            }
        }
        match &self.generated {
            Some(name) => name.replace_all(&text, NoExpand("GENERATED")).into_owned(),
            None => text,
        }
    }

    /// The same, for texts that are a value as a whole.
    pub(crate) fn hide_in(&self, value: Value) -> Value {
        match value {
            Value::String(text) => {
                let found = self.used.iter().find(|(value, _)| *value == text);
                found.map_or(text, |(_, variable)| variable.clone()).into()
            }
            Value::Array(items) => items.into_iter().map(|item| self.hide_in(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name, self.hide_in(value)))
                .collect(),
            other => other,
        }
    }
}
