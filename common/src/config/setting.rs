//! What a component declares: its settings as a table.

use std::time::Duration;

/// What a setting holds, and how a text becomes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`; a flag may stand alone.
    Bool,
    /// Any text.
    Text,
    /// A TCP or UDP port, 1 to 65535.
    Port,
    /// A port to listen on; 0 takes any that is free.
    ListenPort,
    /// A whole number within bounds.
    Integer {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// A length of time such as `500ms`, `15s`, `5m`, `1h30m`.
    Duration {
        /// The shortest allowed.
        min: Duration,
        /// The longest allowed.
        max: Duration,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// An absolute http or https URL.
    Url,
    /// Several URLs: a YAML list, a repeated flag, or separated by commas.
    Urls,
    /// Several texts: a YAML list, a repeated flag, or separated by commas.
    List,
    /// A structure of the YAML file that the component deserialises itself. It has no flag
    /// and no variable.
    Section,
    /// A section that a flag or variable may give as one text instead.
    TextOrSection,
    /// A section that a flag or variable may give as a list of texts instead.
    ListOrSection,
}

impl Kind {
    /// A length of time without bounds.
    pub const DURATION: Self = Self::Duration {
        min: Duration::ZERO,
        max: Duration::MAX,
    };

    /// A count: zero or more.
    pub const COUNT: Self = Self::Integer {
        min: 0,
        max: i64::MAX,
    };

    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::Urls | Self::List | Self::ListOrSection)
    }

    /// Whether it can be given as a flag or a variable.
    pub const fn has_flag(self) -> bool {
        !matches!(self, Self::Section)
    }

    /// What the help shows in place of a value.
    pub(super) fn placeholder(self) -> String {
        match self {
            Self::Bool => "BOOL".into(),
            Self::Text | Self::TextOrSection => "TEXT".into(),
            Self::Port | Self::ListenPort => "PORT".into(),
            Self::Integer { .. } => "NUMBER".into(),
            Self::Duration { .. } => "DURATION".into(),
            Self::Choice(words) => words.join("|"),
            Self::Url => "URL".into(),
            Self::Urls => "URL,...".into(),
            Self::List | Self::ListOrSection => "TEXT,...".into(),
            Self::Section => "STRUCTURE".into(),
        }
    }
}

/// One setting: a row of a component's table.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    pub(super) default: Option<&'static str>,
    pub(super) help: &'static str,
    pub(super) secret: bool,
}

impl Setting {
    /// A setting with its name (flag and, in upper case with `A8_`, variable), which is also
    /// its place in the file, and a help text for the operator.
    pub const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            path: name,
            kind,
            default: None,
            help,
            secret: false,
        }
    }

    /// Its place in the YAML file, with dots.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    /// What it holds.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether its value is never shown.
    pub const fn is_secret(&self) -> bool {
        self.secret
    }

    /// The value it has when nobody sets it.
    pub const fn default(&self) -> Option<&'static str> {
        self.default
    }

    /// Its place in the YAML file, where that is not its name: `registry.url`.
    pub const fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The value it has when nobody sets it, written as on the command line.
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// Never print its value.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        variable(self.name)
    }
}

/// The environment variable of a name: `A8_` and upper case.
pub(super) fn variable(name: &str) -> String {
    format!("A8_{}", name.to_ascii_uppercase())
}

/// Settings that belong together; the title heads them in the help.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Shown above the settings.
    pub title: &'static str,
    /// The settings, in the order shown.
    pub settings: &'static [Setting],
}

/// The settings of an address that something listens on, by their names.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The setting of the IP address.
    pub host: &'static str,
    /// The setting of the port.
    pub port: &'static str,
}

/// A binary and its settings.
#[derive(Debug, Clone, Copy)]
pub struct Component {
    /// The binary's name.
    pub name: &'static str,
    /// One sentence on what it is.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its settings.
    pub groups: &'static [&'static Group],
    /// Which of them say where it answers for its health.
    pub health: Place,
    /// What the arguments after the flags are, for a component that takes some.
    pub trailing: Option<&'static str>,
}

impl Component {
    /// All settings, in order.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        let groups = self.groups;
        groups.iter().flat_map(|group| group.settings)
    }
}

/// The known name that `text` was most likely meant to be.
pub(super) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
