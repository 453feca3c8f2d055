//! The settled configuration, read by name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::de::DeserializeOwned;

use super::Secret;
use super::check::Checked;
use super::problem::{Origin, Problem, Problems};
use super::setting::{Group, Setting};

/// One setting, its value and who set it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) setting: &'static Setting,
    pub(super) origin: Option<Origin>,
    pub(super) value: Option<Checked>,
}

impl Entry {
    pub(super) fn unset(setting: &'static Setting) -> Self {
        Self {
            setting,
            origin: None,
            value: None,
        }
    }

    /// The name that the operator gave it, or all the names it could be given by.
    fn name(&self) -> String {
        let setting = self.setting;
        match &self.origin {
            Some(origin) => origin.name(setting),
            None if setting.kind.has_flag() => {
                format!(
                    "{} (--{}, {})",
                    setting.path,
                    setting.name,
                    setting.variable()
                )
            }
            None => setting.path.to_owned(),
        }
    }
}

/// The settings of a component, checked against their kinds.
///
/// The getters never fail: a value that was refused has been reported already, and reads as
/// empty, or as on where it is a switch. What a component itself finds wrong it reports by
/// [`refuse`](Self::refuse).
#[derive(Debug)]
pub struct Settings {
    pub(super) entries: BTreeMap<&'static str, Entry>,
    problems: RefCell<Vec<Problem>>,
    trailing: Vec<String>,
}

impl Settings {
    pub(super) fn new(
        entries: BTreeMap<&'static str, Entry>,
        problems: Vec<Problem>,
        trailing: Vec<String>,
    ) -> Self {
        Self {
            entries,
            problems: RefCell::new(problems),
            trailing,
        }
    }

    /// A yes or no; `false` when nobody set it.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Checked::Bool(true)))
    }

    /// A text, or the word of a choice.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Some(Checked::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A text that must not be shown.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    /// A port.
    pub fn port(&self, name: &str) -> Option<u16> {
        self.integer(name).and_then(|n| u16::try_from(n).ok())
    }

    /// A whole number.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name) {
            Some(Checked::Integer(n)) => Some(*n),
            _ => None,
        }
    }

    /// A whole number of things; negative ones read as none.
    pub fn count(&self, name: &str) -> Option<usize> {
        self.integer(name).and_then(|n| usize::try_from(n).ok())
    }

    /// A length of time; zero when nobody set it.
    pub fn duration(&self, name: &str) -> Duration {
        match self.value(name) {
            Some(Checked::Duration(time)) => *time,
            _ => Duration::ZERO,
        }
    }

    /// A URL.
    pub fn url(&self, name: &str) -> Option<Url> {
        match self.value(name) {
            Some(Checked::Url(url)) => Some(url.clone()),
            _ => None,
        }
    }

    /// Several URLs.
    pub fn urls(&self, name: &str) -> Vec<Url> {
        match self.value(name) {
            Some(Checked::Urls(urls)) => urls.clone(),
            _ => Vec::new(),
        }
    }

    /// Several texts.
    pub fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Checked::List(texts)) => texts.clone(),
            _ => Vec::new(),
        }
    }

    /// A text that becomes a type of the component's; a text that cannot is reported.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        text.parse()
            .map_err(|e| self.refuse(name, format!("{text:?} {e}")))
            .ok()
    }

    /// The meaning of a choice: that of the word set, or of the first when there is none.
    pub fn choice<T: Copy, const N: usize>(&self, name: &str, meanings: [(&str, T); N]) -> T {
        const { assert!(N > 0, "a choice has a word") };
        let word = self.text(name);
        let found = meanings.iter().find(|(w, _)| word.as_deref() == Some(w));
        match (found, word) {
            (Some((_, meaning)), _) => *meaning,
            (None, word) => {
                if let Some(word) = word {
                    self.refuse(name, format!("{word:?} has no meaning here"));
                }
                meanings[0].1
            }
        }
    }

    /// A structure of the file. Unknown or wrong members are reported with their path.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let Some(Checked::Section(json)) = self.value(name) else {
            return None;
        };
        serde_path_to_error::deserialize(json)
            .map_err(|e| {
                let inner = e.path().to_string();
                let reason = e.into_inner().to_string();
                match inner.as_str() {
                    "." => self.refuse(name, reason),
                    path => self.refuse(name, format!("at {path}: {reason}")),
                }
            })
            .ok()
    }

    /// The entries of a list of the file, each with its place. One that is not as it should be
    /// is reported with its path and left out; the others are looked at all the same.
    pub fn entries<T: DeserializeOwned>(&self, name: &str) -> Vec<(usize, T)> {
        let entries: Option<Vec<serde_json::Value>> = self.section(name).flatten();
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        let read = entries.filter_map(|(at, entry)| {
            serde_path_to_error::deserialize(entry)
                .map_err(|e| {
                    let place = match e.path().to_string().as_str() {
                        "." => format!("[{at}]"),
                        inner => format!("[{at}].{inner}"),
                    };
                    self.refuse(name, format!("at {place}: {}", e.into_inner()));
                })
                .ok()
                .map(|entry| (at, entry))
        });
        read.collect()
    }

    /// Whether somebody set it, other than by its default.
    pub fn is_set(&self, name: &str) -> bool {
        let entry = self.entries.get(name);
        let origin = entry.and_then(|e| e.origin.as_ref());
        origin.is_some_and(|origin| *origin != Origin::Default)
    }

    /// Those of a group that somebody set.
    pub fn set_in(&self, group: &Group) -> Vec<&'static str> {
        let names = group.settings.iter().map(|setting| setting.name);
        names.filter(|name| self.is_set(name)).collect()
    }

    /// The arguments after the flags.
    pub fn trailing(&self) -> &[String] {
        &self.trailing
    }

    /// All settings as they stand in the file; secrets as `***`.
    pub fn to_json(&self) -> serde_json::Value {
        super::print::tree(self).into()
    }

    /// Reports that the value of a setting cannot be used; `reason` follows its name.
    pub fn refuse(&self, name: &str, reason: impl Into<String>) {
        let name = match self.entries.get(name) {
            Some(entry) => entry.name(),
            None => name.to_owned(),
        };
        self.problems.borrow_mut().push(Problem {
            name,
            reason: reason.into(),
        });
    }

    /// All that was found wrong so far.
    pub fn problems(&self) -> Problems {
        Problems(self.problems.borrow().clone())
    }

    fn value(&self, name: &str) -> Option<&Checked> {
        match self.entries.get(name) {
            Some(entry) => entry.value.as_ref(),
            None => {
                self.refuse(name, "is read by the component but not declared");
                None
            }
        }
    }
}
