//! Flag over environment over file over default.
//!
//! The `config` crate does the layering and carries with each value where it came from.

use std::io::Read;

use config::builder::DefaultState;
use config::{ConfigBuilder, File, FileFormat, Map, Source, Value, ValueKind};
use serde::de::IgnoredAny;

use super::check::{Checked, check};
use super::command::{CHECK, CONFIG, Given, PRINT};
use super::problem::{Origin, Problem};
use super::secret::REDACTED;
use super::setting::{Component, Kind, Setting};
use super::settings::{Entry, Settings};
use super::{Input, Page, setting};

/// The largest configuration file, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// The most nodes, roughly, that all aliases of a configuration file may stand for.
const MAX_ALIASED: usize = 100_000;

/// What the operator wants done with the configuration.
pub(super) enum Ask {
    Run,
    Print,
    Check,
    Health(Page),
}

/// Merges the layers and checks each setting against its kind.
pub(super) fn settle(component: &Component, input: &Input, given: Given) -> (Settings, Ask) {
    let mut problems = unreadable(component, input);
    problems.extend(given.misread_switch(component, input));
    let mut layers = defaults(component);
    if let Some(file) = file_name(input, &given) {
        match read_file(component, &file, &mut problems) {
            Ok(values) => layers = layers.add_source(Layer(values)),
            Err(problem) => problems.push(problem),
        }
    }
    layers = layers
        .add_source(environment(component, input))
        .add_source(flags(component, &given));
    let merged = layers.build().and_then(|merged| merged.collect());
    let root = match merged {
        Ok(values) => Value::new(None, ValueKind::Table(values)),
        Err(e) => {
            problems.push(Problem {
                name: "configuration".into(),
                reason: e.to_string(),
            });
            Value::new(None, ValueKind::Nil)
        }
    };
    let entries = component
        .settings()
        .map(|setting| (setting.name, entry(setting, &root, &mut problems)))
        .collect();
    let ask = if let Some(page) = given.page() {
        Ask::Health(page)
    } else if given.has(PRINT) {
        Ask::Print
    } else if given.has(CHECK) {
        Ask::Check
    } else {
        Ask::Run
    };
    (Settings::new(entries, problems, given.trailing()), ask)
}

fn entry(setting: &'static Setting, root: &Value, problems: &mut Vec<Problem>) -> Entry {
    let Some(value) = find(root, setting.path) else {
        return Entry::unset(setting);
    };
    let origin = origin(value);
    match check(setting.kind, value) {
        Ok(checked) => Entry {
            setting,
            origin: Some(origin),
            value: Some(checked),
        },
        Err(reason) => {
            let reason = if setting.secret {
                "is not a valid value".to_owned()
            } else {
                reason
            };
            problems.push(Problem {
                name: origin.name(setting),
                reason,
            });
            // What is wrong with a part that may be wanted is to be said at once, too.
            let value = matches!(setting.kind, Kind::Bool).then_some(Checked::Bool(true));
            Entry {
                setting,
                origin: Some(origin),
                value,
            }
        }
    }
}

/// A merged table has no origin of its own: that of anything in it will do.
fn origin(value: &Value) -> Origin {
    fn label(value: &Value) -> Option<&str> {
        match &value.kind {
            ValueKind::Table(members) => members.values().find_map(label),
            ValueKind::Array(items) => items.iter().find_map(label),
            _ => None,
        }
        .or(value.origin())
    }
    Origin::from_label(label(value))
}

fn find<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(root, |value, step| match &value.kind {
            ValueKind::Table(members) => members.get(step),
            _ => None,
        })
}

/// One layer: values by path.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

fn defaults(component: &Component) -> ConfigBuilder<DefaultState> {
    let values = component
        .settings()
        .filter_map(|s| Some((s.path.to_owned(), value(Origin::DEFAULT, s.default?))));
    config::Config::builder().add_source(Layer(values.collect()))
}

/// The variables that are set to what is no text. To go on as if they were not would surprise.
fn unreadable(component: &Component, input: &Input) -> Vec<Problem> {
    let settings = component.settings().filter(|s| s.kind.has_flag());
    let names = settings.map(|s| s.name).chain([CONFIG]);
    let unreadable = names.filter(|name| input.is_unreadable(name));
    let problem = |name| Problem {
        name: format!("{} ({})", setting::variable(name), Origin::ENVIRONMENT),
        reason: "is not UTF-8".into(),
    };
    unreadable.map(problem).collect()
}

fn environment(component: &Component, input: &Input) -> Layer {
    let settings = component.settings().filter(|s| s.kind.has_flag());
    let values = settings.filter_map(|s| {
        let text = input.of_setting(s.name)?;
        let texts = match s.kind {
            Kind::ListOrSection => text.split(',').map(str::to_owned).collect(),
            _ => vec![text.to_owned()],
        };
        Some((s.path.to_owned(), values(Origin::ENVIRONMENT, s, texts)))
    });
    Layer(values.collect())
}

fn flags(component: &Component, given: &Given) -> Layer {
    let found = component.settings().filter_map(|s| {
        let texts = given.texts(s.name)?;
        Some((s.path.to_owned(), values(Origin::FLAG, s, texts)))
    });
    Layer(found.collect())
}

fn value(origin: &str, text: &str) -> Value {
    Value::new(Some(&origin.to_owned()), ValueKind::String(text.to_owned()))
}

/// The texts of one setting: a list for a kind that holds several, otherwise the last.
fn values(origin: &str, setting: &Setting, texts: Vec<String>) -> Value {
    if setting.kind.is_list() {
        let items: Vec<Value> = texts.iter().map(|text| value(origin, text)).collect();
        return Value::new(Some(&origin.to_owned()), ValueKind::Array(items));
    }
    value(origin, texts.last().map_or("", String::as_str))
}

fn file_name(input: &Input, given: &Given) -> Option<String> {
    let flag = given.texts(CONFIG).and_then(|texts| texts.last().cloned());
    flag.or_else(|| input.of_setting(CONFIG).map(str::to_owned))
}

fn read_file(
    component: &Component,
    name: &str,
    problems: &mut Vec<Problem>,
) -> Result<Map<String, Value>, Problem> {
    let refuse = |reason: String| Problem {
        name: format!("{CONFIG} ({name})"),
        reason,
    };
    let mut text = String::new();
    let file = std::fs::File::open(name).map_err(|e| refuse(format!("cannot be opened: {e}")))?;
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|e| refuse(format!("cannot be read: {e}")))?;
    if text.len() as u64 > MAX_FILE {
        return Err(refuse(format!("is larger than {MAX_FILE} bytes")));
    }
    // YAML 1.2, 5.2: a byte order mark may stand before the document.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if is_empty(text).map_err(refuse)? {
        return Ok(Map::new());
    }
    let parsed = File::from_str(text, FileFormat::Yaml)
        .collect()
        .map_err(|e| refuse(format!("is not valid YAML: {e}")))?;
    let mut file = FileLayer {
        component,
        name,
        problems,
    };
    Ok(file.keep("", parsed))
}

/// Whether a document says nothing, as `---` or `null`.
///
/// # Errors
/// Its aliases cannot be followed, or stand for too much. The reader of the `config` crate makes
/// copies of what they stand for, without a bound.
fn is_empty(text: &str) -> Result<bool, String> {
    let options = serde_saphyr::options! {
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIASED,
        },
    };
    let seen = serde_saphyr::from_str_with_options::<Option<IgnoredAny>>(text, options);
    match seen {
        Ok(said) => Ok(said.is_none()),
        Err(e) if text.contains('&') && text.contains('*') => {
            Err(format!("is not valid YAML: {}", e.without_snippet()))
        }
        // The reader says what else is wrong.
        Err(_) => Ok(false),
    }
}

/// Goes through what a file says: refuses keys that nobody declared, drops what says nothing.
struct FileLayer<'a> {
    component: &'a Component,
    name: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl FileLayer<'_> {
    fn keep(&mut self, prefix: &str, values: Map<String, Value>) -> Map<String, Value> {
        let mut kept = Map::new();
        for (key, value) in values {
            let path = match prefix {
                "" => key.clone(),
                _ => format!("{prefix}.{key}"),
            };
            if let Some(value) = self.value(&path, value) {
                kept.insert(key, value);
            }
        }
        kept
    }

    fn value(&mut self, path: &str, value: Value) -> Option<Value> {
        if matches!(value.kind, ValueKind::Nil) {
            return None;
        }
        let declared = self.component.settings().find(|s| s.path == path);
        let kind = match (declared, value.kind) {
            // What `--print_config` prints is a configuration again: `***` says that the
            // secret is given elsewhere.
            (Some(s), ValueKind::String(text)) if s.secret && text == REDACTED => return None,
            (Some(_), kind) => return Some(self.labelled(kind)),
            (None, ValueKind::Table(members)) if self.is_table(path) => {
                ValueKind::Table(self.keep(path, members))
            }
            (None, _) if self.is_table(path) => {
                self.refuse(path, "must be a table".into());
                return None;
            }
            (None, _) => {
                self.refuse(path, self.unknown(path));
                return None;
            }
        };
        Some(self.labelled(kind))
    }

    /// A value that says, all the way down, that it came from this file.
    fn labelled(&self, kind: ValueKind) -> Value {
        let kind = match kind {
            ValueKind::Table(members) => ValueKind::Table(
                members
                    .into_iter()
                    .map(|(name, value)| (name, self.labelled(value.kind)))
                    .collect(),
            ),
            ValueKind::Array(items) => {
                ValueKind::Array(items.into_iter().map(|v| self.labelled(v.kind)).collect())
            }
            scalar => scalar,
        };
        Value::new(Some(&self.name.to_owned()), kind)
    }

    fn is_table(&self, path: &str) -> bool {
        self.component.settings().any(|s| {
            let rest = s.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    fn unknown(&self, path: &str) -> String {
        match setting::nearest(path, self.component.settings().map(|s| s.path)) {
            Some(near) => format!("is not a known setting; did you mean {near}?"),
            None => "is not a known setting".into(),
        }
    }

    fn refuse(&mut self, path: &str, reason: String) {
        self.problems.push(Problem {
            name: format!("{path} ({})", self.name),
            reason,
        });
    }
}
