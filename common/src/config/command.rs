//! The command line, built from a component's table.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::problem::{Origin, Problem};
use super::setting::{Component, Kind, Setting};
use super::{Exit, Input, Page};

/// The flags that every component has.
pub(super) const CONFIG: &str = "config";
pub(super) const PRINT: &str = "print_config";
pub(super) const CHECK: &str = "check_config";
pub(super) const HEALTH: &str = "check_health";
const TRAILING: &str = "trailing";

/// What the command line gave.
pub(super) struct Given(ArgMatches);

impl Given {
    /// The texts given for a flag; none when it was not there.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let texts = self.0.try_get_many::<String>(name).ok()??;
        Some(texts.cloned().collect())
    }

    /// Whether a flag without a value was there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    /// Which page another process is to be asked for, if that is what this one is for.
    pub(super) fn page(&self) -> Option<Page> {
        let words = self.texts(HEALTH)?;
        Some(
            match words.last().is_some_and(|w| w == Page::Ready.word()) {
                true => Page::Ready,
                false => Page::Health,
            },
        )
    }

    /// A switch that was given its value as the next word, which is taken for a command then.
    pub(super) fn misread_switch(&self, component: &Component, input: &Input) -> Option<Problem> {
        let trailing = self.trailing();
        let word = trailing.first()?;
        let before = input.args[..input.args.len() - trailing.len()].last()?;
        let flag = before.to_str()?.strip_prefix("--")?.replace('-', "_");
        let mut settings = component.settings();
        let setting = settings.find(|s| s.kind == Kind::Bool && s.name == flag)?;
        matches!(word.as_str(), "true" | "false").then(|| Problem {
            name: Origin::Flag.name(setting),
            reason: format!(
                "{word} after it would be a command: write --{flag}={word}, or -- before a \
                 command of that name"
            ),
        })
    }

    /// The arguments after the flags.
    pub(super) fn trailing(&self) -> Vec<String> {
        self.texts(TRAILING).unwrap_or_default()
    }
}

pub(super) fn parse(component: &Component, input: &Input) -> Result<Given, Exit> {
    let name = std::ffi::OsString::from(component.name);
    let args = std::iter::once(name).chain(input.args.iter().cloned());
    match command(component).try_get_matches_from(args) {
        Ok(matches) => Ok(Given(matches)),
        Err(e) => match e.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Err(Exit::ok(e.render().to_string()))
            }
            _ => Err(Exit::usage(e.render().to_string())),
        },
    }
}

/// The flags of a component, for whoever writes about them.
pub fn command(component: &Component) -> Command {
    let mut command = Command::new(component.name)
        .about(component.about)
        .version(component.version)
        .args_override_self(true)
        .arg(
            flag(CONFIG, "Read settings from this YAML file [env: A8_CONFIG]")
                .value_name("FILE")
                .num_args(1),
        )
        .arg(switch(
            PRINT,
            "Print the settings as YAML, secrets hidden, and exit",
        ))
        .arg(switch(
            CHECK,
            "Check the settings, report every problem, and exit",
        ))
        .arg(
            flag(
                HEALTH,
                "Ask the process that runs by these settings whether it is alive, or ready, \
                 and exit with 0 or 1 [default: health]",
            )
            .value_name("health|ready")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value(Page::Health.word())
            .value_parser([Page::Health.word(), Page::Ready.word()]),
        );
    for group in component.groups {
        let settings = group.settings.iter().filter(|s| s.kind.has_flag());
        command = command.args(settings.map(|s| argument(s).help_heading(group.title)));
    }
    if let Some(help) = component.trailing {
        command = command.arg(
            Arg::new(TRAILING)
                .help(help)
                .value_name("COMMAND")
                .num_args(0..)
                .trailing_var_arg(true),
        );
    }
    command
}

fn argument(setting: &Setting) -> Arg {
    let arg = flag(setting.name, help(setting)).value_name(setting.kind.placeholder());
    match setting.kind {
        // `--proxy` alone means true; a value needs the `=`, so that the word after a bare
        // flag is never taken for one.
        Kind::Bool => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        kind if kind.is_list() => arg.action(ArgAction::Append).num_args(1),
        _ => arg.num_args(1).allow_negative_numbers(true),
    }
}

fn help(setting: &Setting) -> String {
    let default = match setting.default {
        Some(text) => format!(" [default: {text}]"),
        None => String::new(),
    };
    format!("{}{default} [env: {}]", setting.help, setting.variable())
}

/// A flag in both spellings, `--a_b` and `--a-b`.
fn flag(name: &'static str, help: impl Into<String>) -> Arg {
    let arg = Arg::new(name).long(name).help(help.into());
    if name.contains('_') {
        arg.alias(name.replace('_', "-"))
    } else {
        arg
    }
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).action(ArgAction::SetTrue)
}
