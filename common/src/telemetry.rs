//! The log: structured lines on stderr, at a level that can be changed while running.
//!
//! [`init`] is called once by each binary; libraries only use the `tracing` macros.

use std::io::IsTerminal;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Group, Input, Kind, Setting, Settings};

/// The settings of the log.
pub const SETTINGS: Group = Group {
    title: "Log",
    settings: &[
        Setting::new(
            "log_level",
            Kind::Text,
            "debug, info, warn, error, fatal or panic; or directives such as info,hyper=debug",
        )
        .or("info"),
        Setting::new(
            "log_format",
            Kind::Choice(&["text", "json", "logstash"]),
            "How log lines are written",
        )
        .or("text"),
    ],
};

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which events are logged.
    pub level: Level,
    /// How a line is written.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            level: Level("info".into()),
            format: Format::Text,
        }
    }
}

impl Config {
    /// Reads [`SETTINGS`].
    pub fn read(settings: &Settings) -> Self {
        let default = Self::default();
        Self {
            level: settings.parsed("log_level").unwrap_or(default.level),
            format: settings.choice(
                "log_format",
                [
                    ("text", Format::Text),
                    ("json", Format::Json),
                    // The original's second machine-readable format; JSON serves its readers.
                    ("logstash", Format::Json),
                ],
            ),
        }
    }
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which events are logged: a level, or directives by module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(String);

/// Why a text is no [`Level`].
#[derive(Debug, thiserror::Error)]
#[error("is neither a level (debug, info, warn, error, fatal, panic) nor directives: {0}")]
pub struct LevelError(#[from] tracing_subscriber::filter::ParseError);

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let lower = text.trim().to_ascii_lowercase();
        let directives = match lower.as_str() {
            // Nothing is worse than an error here; what the original would still have
            // logged at these levels is logged as one.
            "fatal" | "panic" => "error",
            "warning" => "warn",
            "" => "info",
            "trace" | "debug" | "info" | "warn" | "error" | "off" => lower.as_str(),
            _ => text.trim(),
        };
        // A lone word would be taken for the name of a module, and log nothing.
        if directives
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            directives
                .parse::<LevelFilter>()
                .map_err(tracing_subscriber::filter::ParseError::from)?;
        }
        EnvFilter::try_new(directives)?;
        Ok(Self(directives.to_owned()))
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Libraries that log each attempt at what we try again, and say ourselves once that it fails.
/// Directives may name them.
const SILENT: &str = "kube_client=off,kube_runtime=off";

impl Level {
    fn filter(&self) -> EnvFilter {
        EnvFilter::new(format!("{SILENT},{}", self.0))
    }
}

/// Changes the level of a running process. Clones act on the same log.
#[derive(Clone)]
pub struct Control {
    filter: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<Level>>,
}

/// The log is gone: the process is ending.
#[derive(Debug, thiserror::Error)]
#[error("the log has ended")]
pub struct Ended;

impl Control {
    /// Logs at `level` from now on.
    ///
    /// # Errors
    /// [`Ended`] when the log no longer exists.
    pub fn set(&self, level: &Level) -> Result<(), Ended> {
        let mut now = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.reload(level.filter()).map_err(|_| Ended)?;
        now.clone_from(level);
        Ok(())
    }

    /// What is logged now.
    pub fn level(&self) -> Level {
        let now = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }
}

/// Starts the log of this process. A second call leaves the first log in place.
pub fn init(config: &Config) -> Control {
    // See https://no-color.org.
    let unwanted = Input::from_process().variable("NO_COLOR").is_some();
    let colours = std::io::stderr().is_terminal() && !unwanted;
    let (log, control) = build(config, std::io::stderr, colours);
    // Fails only when there is a log already, as in tests that start several components.
    let _ = log.try_init();
    control
}

fn build<W>(
    config: &Config,
    to: W,
    colours: bool,
) -> (impl SubscriberInitExt + Subscriber + use<W>, Control)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(config.level.filter());
    let lines = fmt::layer().with_writer(to);
    let lines = match config.format {
        Format::Text => lines.with_ansi(colours).boxed(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            // The innermost span is in each line already.
            .with_span_list(false)
            .boxed(),
    };
    let log = tracing_subscriber::registry().with(filter).with(lines);
    let control = Control {
        filter: handle,
        level: Arc::new(Mutex::new(config.level.clone())),
    };
    (log, control)
}

#[cfg(test)]
mod tests {
    use tracing::{debug, info, info_span};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn log(level: &str, format: Format) -> (impl Subscriber, Control, Lines) {
        let lines = Lines::default();
        let writer = lines.clone();
        let level = level.parse().unwrap();
        let (log, control) = build(&Config { level, format }, move || writer.clone(), false);
        (log, control, lines)
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top() {
        let (log, _control, lines) = log("info", Format::Json);
        tracing::subscriber::with_default(log, || {
            let span = info_span!("request", id = "r1");
            span.in_scope(|| info!(address = "a:1", "listening"));
        });
        let line: serde_json::Value = serde_json::from_str(&lines.text()).unwrap();
        assert_eq!(line["message"], "listening");
        assert_eq!(line["address"], "a:1");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["id"], "r1");
    }

    #[test]
    fn the_level_changes_while_running_and_text_has_no_colours() {
        let (log, control, lines) = log("fatal", Format::Text);
        tracing::subscriber::with_default(log, || {
            info!("one");
            control.set(&"debug".parse().unwrap()).unwrap();
            assert_eq!(control.level().to_string(), "debug");
            debug!("two");
            control.set(&"warn".parse().unwrap()).unwrap();
            info!("three");
        });
        let text = lines.text();
        assert!(
            text.contains("two") && !text.contains("one") && !text.contains("three"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn levels_of_the_original_are_mapped() {
        for (text, means) in [
            ("debug", "debug"),
            ("INFO", "info"),
            ("warning", "warn"),
            ("fatal", "error"),
            ("panic", "error"),
            ("info,hyper=debug", "info,hyper=debug"),
        ] {
            assert_eq!(text.parse::<Level>().expect(text).to_string(), means);
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for text in ["loud", "info,hyper=loud", "a=b=c"] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }
}
