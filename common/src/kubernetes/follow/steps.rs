//! The steps of following, of whatever kind.

use std::time::Duration;

use futures_util::StreamExt;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::{Request, Status};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tracing::info;

use super::pauses::Pauses;
use super::wire::{self, Kind, Lines};
use super::{Trouble, Wanted};
use crate::kubernetes::Resource;

/// How many objects come in one answer to a list.
const PAGE: u32 = 500;
/// How long the API server keeps a watch, in seconds.
const WATCH_SECONDS: u32 = 290;
/// A watch that ends sooner is begun again after a pause.
const SHORT: Duration = Duration::from_secs(5);
/// What an API server that is busy may ask for at most.
const MOST_ASKED_FOR: Duration = Duration::from_secs(60);

/// One step, with objects as they came.
pub(super) enum Step {
    /// Some objects of a list.
    Page {
        /// Whether the list begins with them.
        first: bool,
        objects: Vec<Box<RawValue>>,
    },
    /// Those were all, as of this version.
    Listed(String),
    Put(Box<RawValue>),
    Gone(Box<RawValue>),
    Reached(String),
    NoSuchKind,
    Trouble(Trouble),
}

/// Where it stands.
enum Stage {
    /// A list is to be begun; in pages, unless one grew too old between two of them.
    List {
        whole: bool,
    },
    /// The next page.
    More {
        token: String,
    },
    Listed {
        version: String,
    },
    Watch {
        from: String,
    },
    Watching {
        from: String,
        began: Instant,
        lines: Lines,
    },
}

pub(super) struct Follower {
    client: Client,
    resource: Resource,
    url: Request,
    fields: Option<String>,
    stage: Stage,
    /// While the API server does not answer as it should.
    absent: Pauses,
    /// While what it answers does not last.
    short: Pauses,
    /// Before the next step.
    pause: Option<Duration>,
}

/// Why a step was not taken.
enum Stop {
    /// The watch came to its end.
    Over {
        soon: bool,
    },
    Failed(kube::Error),
}

impl From<kube::Error> for Stop {
    fn from(e: kube::Error) -> Self {
        Self::Failed(e)
    }
}

impl Follower {
    pub(super) fn new(client: Client, wanted: Wanted<'_>) -> Self {
        let named = |name| format!("metadata.name={name}");
        Self {
            client,
            resource: wanted.resource,
            url: Request::new(wanted.resource.path(wanted.namespace)),
            fields: wanted.name.map(named),
            stage: Stage::List { whole: false },
            absent: Pauses::new(),
            short: Pauses::new(),
            pause: None,
        }
    }

    /// The next step; it may take for ever.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            if let Some(pause) = self.pause.take() {
                sleep(pause).await;
            }
            match self.go_on().await {
                Ok(Some(step)) => return step,
                Ok(None) => {}
                Err(Stop::Over { soon: true }) => self.pause = Some(self.short.next()),
                Err(Stop::Over { soon: false }) => self.short = Pauses::new(),
                Err(Stop::Failed(e)) => {
                    if let Some(step) = self.failed(e).await {
                        return step;
                    }
                }
            }
        }
    }

    /// What it would wait before the next step, which it then does not.
    #[cfg(test)]
    pub(super) fn take_pause(&mut self) -> Option<Duration> {
        self.pause.take()
    }

    async fn go_on(&mut self) -> Result<Option<Step>, Stop> {
        match &mut self.stage {
            Stage::List { whole } => {
                let asked = match whole {
                    true => ListParams::default(),
                    false => ListParams::default().limit(PAGE),
                };
                self.page(asked, true).await
            }
            Stage::More { token } => {
                let asked = ListParams::default().limit(PAGE).continue_token(token);
                self.page(asked, false).await
            }
            Stage::Listed { version } => {
                let from = version.clone();
                let version = version.clone();
                self.stage = Stage::Watch { from };
                Ok(Some(Step::Listed(version)))
            }
            Stage::Watch { from } => {
                let from = from.clone();
                let request = self.watch_request(&from)?;
                let lines = wire::watch(&self.client, request).await?;
                self.absent = Pauses::new();
                self.stage = Stage::Watching {
                    lines,
                    began: Instant::now(),
                    from: from.clone(),
                };
                Ok(Some(Step::Reached(from)))
            }
            Stage::Watching { from, began, lines } => match lines.next().await {
                Some(Ok(line)) => match wire::event(&line)? {
                    Some(event) => take(event, from),
                    None => Ok(None),
                },
                // Whether the API server is away the next watch shows.
                Some(Err(_)) | None => {
                    let soon = began.elapsed() < SHORT;
                    let from = std::mem::take(from);
                    self.stage = Stage::Watch { from };
                    Err(Stop::Over { soon })
                }
            },
        }
    }

    async fn page(&mut self, mut asked: ListParams, first: bool) -> Result<Option<Step>, Stop> {
        asked.field_selector.clone_from(&self.fields);
        let request = match self.resource.metadata_only {
            true => self.url.list_metadata(&asked),
            false => self.url.list(&asked),
        };
        let request = request.map_err(kube::Error::BuildRequest)?;
        let page = wire::list(&self.client, request).await?;
        self.absent = Pauses::new();
        self.stage = match page.metadata.next {
            none if none.is_empty() => Stage::Listed {
                version: page.metadata.resource_version,
            },
            token => Stage::More { token },
        };
        Ok(Some(Step::Page {
            first,
            objects: page.items.unwrap_or_default(),
        }))
    }

    fn watch_request(&self, from: &str) -> Result<http::Request<Vec<u8>>, kube::Error> {
        let mut asked = WatchParams::default().timeout(WATCH_SECONDS);
        asked.field_selector.clone_from(&self.fields);
        let request = match self.resource.metadata_only {
            true => self.url.watch_metadata(&asked, from),
            false => self.url.watch(&asked, from),
        };
        request.map_err(kube::Error::BuildRequest)
    }

    /// What there is to tell of a failure, if anything. It is gone on after a pause.
    async fn failed(&mut self, e: kube::Error) -> Option<Step> {
        if matches!(&self.stage, Stage::Watching { began, .. } if began.elapsed() >= SHORT) {
            self.short = Pauses::new();
        }
        let status = match &e {
            kube::Error::Api(status) => Some(&**status),
            _ => None,
        };
        if status.is_some_and(is_too_old) {
            self.pause = Some(self.short.next());
            info!(resource = self.resource.plural, "fell behind, listing anew");
            let whole = matches!(self.stage, Stage::More { .. });
            self.stage = Stage::List { whole };
            return None;
        }
        let asked_for = Duration::from_secs(status.map_or(0, retry_after));
        // Who says how long to wait is there, as is who has just sent something.
        let is_there = !asked_for.is_zero() || matches!(self.stage, Stage::Watching { .. });
        let own = match is_there {
            true => self.short.next(),
            false => self.absent.next(),
        };
        self.pause = Some(own.max(asked_for.min(MOST_ASKED_FOR)));
        let began_anew = Stage::List { whole: false };
        match std::mem::replace(&mut self.stage, began_anew) {
            // A list is begun anew, a watch goes on where it stood.
            Stage::Watch { from } | Stage::Watching { from, .. } => {
                self.stage = Stage::Watch { from };
            }
            Stage::List { .. } | Stage::More { .. } | Stage::Listed { .. } => {}
        }
        let Resource { plural, .. } = self.resource;
        let group = self.resource.siblings();
        if status.is_some_and(|status| status.code == 404)
            && wire::is_unknown(&self.client, &group, plural).await
        {
            // With the kind all objects went, and with another life of it they are others.
            self.stage = Stage::List { whole: false };
            return Some(Step::NoSuchKind);
        }
        Some(Step::Trouble(Trouble::from(&e)))
    }
}

/// Takes in one line of a watch that stands at `from`.
fn take(event: wire::Event, from: &mut String) -> Result<Option<Step>, Stop> {
    if let Kind::Error = event.kind {
        let status: Status =
            serde_json::from_str(event.object.get()).map_err(kube::Error::SerdeError)?;
        return Err(Stop::Failed(kube::Error::Api(status.boxed())));
    }
    let version = wire::version(&event.object)?;
    if !version.is_empty() {
        *from = version;
    }
    Ok(Some(match event.kind {
        Kind::Added | Kind::Modified => Step::Put(event.object),
        Kind::Deleted => Step::Gone(event.object),
        Kind::Bookmark | Kind::Error => Step::Reached(from.clone()),
    }))
}

/// Whether a version, or a page of a list, is no longer known; or not yet, as after the
/// cluster was restored from an older backup.
fn is_too_old(status: &Status) -> bool {
    let ahead = |details: &kube::core::response::StatusDetails| {
        let mut causes = details.causes.iter();
        causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
    };
    status.code == 410 || status.details.as_ref().is_some_and(ahead)
}

/// In seconds.
fn retry_after(status: &Status) -> u64 {
    let details = status.details.as_ref();
    details.map_or(0, |details| details.retry_after_seconds.into())
}
