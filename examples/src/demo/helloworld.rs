//! The helloworld demo: a steady load, a live table, and a tour that changes the rules under it.

use std::time::{Duration, Instant};

use a8_common::task::Stop;

use super::control::Controller;
use super::fabric::{Fabric, Instance};
use super::load::Load;
use super::screen::{self, Key, Keys, Picture, say};
use super::table::{self, milliseconds};
use super::{Error, Options};
use crate::rules;

const FLAGS: &[&str] = &["--service-version", "{version}", "--instance", "{name}"];
/// Two instances of each of two versions.
pub(super) const INSTANCES: [Instance; 4] = [
    instance("helloworld-v1-1", "v1"),
    instance("helloworld-v1-2", "v1"),
    instance("helloworld-v2-1", "v2"),
    instance("helloworld-v2-2", "v2"),
];

const fn instance(name: &'static str, version: &'static str) -> Instance {
    Instance {
        name,
        service: "helloworld",
        version,
        flags: FLAGS,
    }
}

/// How often the picture is redrawn, and how often a plain line is written.
const REDRAW: Duration = Duration::from_millis(200);
const LINE: Duration = Duration::from_secs(1);
/// How long a change may take to reach the gateway before the demo says that it does not.
const EFFECT: Duration = Duration::from_secs(30);

/// A change of the rules.
enum Change {
    None,
    Create(&'static str),
    /// Adds rules and takes the one away that they are to replace.
    Swap(&'static str, &'static str),
    Update(&'static str),
    Delete(&'static str),
}

struct Step {
    title: &'static str,
    change: Change,
}

const TOUR: [Step; 6] = [
    Step {
        title: "no rules: every instance gets its part",
        change: Change::None,
    },
    Step {
        title: "everything to version v1",
        change: Change::Create("helloworld-default-route-rules.json"),
    },
    Step {
        title: "a quarter to version v2",
        change: Change::Swap(
            "helloworld-v1-v2-route-rules.json",
            "helloworld-default-route-rules",
        ),
    },
    Step {
        title: "half to version v2",
        change: Change::Update("helloworld-half-route-rules.yaml"),
    },
    Step {
        title: "half of v2 is answered 503, a fifth of it late",
        change: Change::Create("helloworld-v2-faults.yaml"),
    },
    Step {
        title: "without the fault again",
        change: Change::Delete("helloworld-v2-faults"),
    },
];

impl Change {
    /// The commands that do the same.
    fn commands(&self) -> Vec<String> {
        let create = |file| format!("a8ctl rule-create -f examples/{file}");
        let delete = |id| format!("a8ctl rule-delete -f -i {id}");
        match self {
            Self::None => vec![],
            Self::Create(file) => vec![create(file)],
            Self::Swap(file, id) => vec![create(file), delete(id)],
            Self::Update(file) => vec![format!("a8ctl rule-update -f examples/{file}")],
            Self::Delete(id) => vec![delete(id)],
        }
    }

    async fn apply(&self, controller: &Controller) -> Result<(), Error> {
        match self {
            Self::None => Ok(()),
            Self::Create(file) => controller.create(&rules::load(file)?).await,
            Self::Swap(file, id) => {
                controller.create(&rules::load(file)?).await?;
                controller.delete(id).await
            }
            Self::Update(file) => controller.update(&rules::load(file)?).await,
            Self::Delete(id) => controller.delete(id).await,
        }
    }
}

/// Runs the demo. With `timed`, or without a terminal, each step of the tour lasts that long
/// and the demo ends after the last; otherwise Enter goes on and Ctrl-C ends.
///
/// # Errors
/// When something does not start, or ends.
pub async fn run(options: &Options, timed: bool, step: Duration, stop: &Stop) -> Result<(), Error> {
    say("Amalgam8 demo: two instances of each of two versions of helloworld");
    super::run(options, &INSTANCES, stop, async |fabric| {
        let keys = if timed { None } else { Keys::grab() };
        let load = Load::start(
            &fabric.http,
            &format!("{}/helloworld/hello", fabric.gateway_url),
        );
        let mut tour = Tour {
            fabric,
            load,
            keys,
            step,
            picture: screen::can_redraw().then(Picture::default),
            past: Vec::new(),
        };
        tour.run().await
    })
    .await
}

struct Tour {
    fabric: Fabric,
    load: Load,
    keys: Option<Keys>,
    step: Duration,
    picture: Option<Picture>,
    past: Vec<String>,
}

impl Tour {
    async fn run(&mut self) -> Result<(), Error> {
        say(format_args!(
            "\n  {}\n  export A8_SIDECAR_URL={}\n  a8ctl explain helloworld\n  \
             curl {}/helloworld/hello\n",
            self.fabric.shell,
            self.fabric.gateway.url(),
            self.fabric.gateway_url
        ));
        for (at, step) in TOUR.iter().enumerate() {
            let last = at + 1 == TOUR.len();
            let effect = self.change(&step.change).await?;
            let title = format!("{}. {}", at + 1, step.title);
            let title = match effect {
                Some(took) => format!("{title} [in effect after {}]", milliseconds(took)),
                None => title,
            };
            if self.picture.is_none() {
                say(format_args!("{title}"));
                for command in step.change.commands() {
                    say(format_args!("   {command}"));
                }
                say(format_args!("   {}", self.hint(last)));
            }
            if self.watch(&title, &step.change.commands(), last).await == Key::Quit {
                return Ok(());
            }
            self.past.push(title);
        }
        say("The tour is over.");
        Ok(())
    }

    /// Changes the rules, and measures from the controller's answer until the gateway goes by
    /// them.
    async fn change(&mut self, change: &Change) -> Result<Option<Duration>, Error> {
        if matches!(change, Change::None) {
            return Ok(None);
        }
        change.apply(&self.fabric.controller).await?;
        let answered = Instant::now();
        let revision = self.fabric.controller.revision().await?;
        while self.fabric.gateway.rules_revision().await < Some(revision) {
            if answered.elapsed() > EFFECT {
                return Err(Error::Control {
                    what: "waiting for the new rules at the gateway".to_owned(),
                    why: format!(
                        "revision {revision} is not there after {} s",
                        EFFECT.as_secs()
                    ),
                });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let took = answered.elapsed();
        self.load.restart();
        Ok(Some(took))
    }

    /// Shows what happens until it is time for the next step.
    async fn watch(&mut self, title: &str, commands: &[String], last: bool) -> Key {
        let began = Instant::now();
        let every = if self.picture.is_some() { REDRAW } else { LINE };
        let mut tick = tokio::time::interval(every);
        tick.tick().await;
        loop {
            tokio::select! {
                key = next_key(&mut self.keys) => match key {
                    Key::Next if last => (),
                    key => return key,
                },
                _ = tick.tick() => {
                    self.show(title, commands, last).await;
                    if self.keys.is_none() && began.elapsed() >= self.step {
                        return Key::Next;
                    }
                }
            }
        }
    }

    async fn show(&mut self, title: &str, commands: &[String], last: bool) {
        let figures = self.load.figures();
        let revision = self.fabric.gateway.rules_revision().await;
        let revision = revision.map_or_else(|| "-".to_owned(), |r| r.to_string());
        let hint = self.hint(last);
        let Some(picture) = &mut self.picture else {
            say(format_args!(
                "   {}  rules r{revision}",
                table::short(&figures)
            ));
            return;
        };
        let mut lines = vec![
            screen::bold("Where requests to the gateway go"),
            screen::dim(&format!(
                "{:.0} requests a second, the last {:.0} s; rules at revision {revision}",
                figures.rate(figures.all.count()),
                figures.seconds
            )),
            String::new(),
        ];
        let shown: Vec<(&str, &str)> = INSTANCES.iter().map(|i| (i.version, i.name)).collect();
        lines.extend(table::lines(&figures, &shown));
        lines.push(String::new());
        lines.extend(self.past.iter().map(|past| screen::dim(past)));
        lines.push(screen::bold(title));
        lines.extend(commands.iter().map(|command| format!("   {command}")));
        lines.push(String::new());
        lines.push(screen::dim(hint));
        picture.draw(&lines);
    }

    fn hint(&self, last: bool) -> &'static str {
        match (&self.keys, last) {
            (None, _) => "Ctrl-C: end",
            (Some(_), false) => "Enter: next step   Ctrl-C: end",
            (Some(_), true) => "The tour is over; go on with a8ctl.   Ctrl-C: end",
        }
    }
}

/// Never, when there are no keys.
async fn next_key(keys: &mut Option<Keys>) -> Key {
    match keys {
        Some(keys) => keys.next().await,
        None => std::future::pending().await,
    }
}
