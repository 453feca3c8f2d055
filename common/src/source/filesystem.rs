//! Instances or rules from one file, YAML or (by its name, `*.json`) JSON.
//!
//! The file is read again when it changes. One that is missing or cannot be read leaves the
//! last good state as it was, and says why on the link; what is in the view is always one
//! file's content as a whole. Whoever writes the file should write another and rename it over:
//! a file that is changed in place may be read half written.
//!
//! A file of rules is what the controller takes. A file of instances is
//! `{instances: [{service_name, endpoint: {type, value}, tags, status, metadata, id, ttl}]}`,
//! the registrations as they would be sent to a registry. Ids that are not given are derived
//! from the content, so that they stay the same from one reading to the next.

mod content;
mod instances;
mod rules;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::changes::Changes;
use crate::model::{Epoch, Revision};
use crate::rule::{Faults, RuleSource};
use crate::source::{Discovery, Link, Source};
use crate::task::Stop;
use crate::view::{Item, Publisher};
use crate::watch::MAX_ITEMS;
use content::Hash;

/// How often the file is looked at even if nobody said that it changed.
const RECHECK: Duration = Duration::from_secs(5);

/// The instances that take requests, from the file at `path`.
pub fn instances(path: PathBuf) -> Box<Discovery> {
    Box::new(File {
        path,
        read: instances::read,
        recheck: RECHECK,
    })
}

/// The rules in the file at `path`.
pub fn rules(path: PathBuf) -> Box<RuleSource> {
    Box::new(File {
        path,
        read: rules::read,
        recheck: RECHECK,
    })
}

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error("it has more than {max} bytes", max = content::MAX_BYTES)]
    TooLarge,
    #[error("it has more than {MAX_ITEMS} items")]
    TooMany,
    #[error("not text in UTF-8")]
    Text,
    #[error("not a JSON document: {0}")]
    Json(serde_json::Error),
    #[error("not a YAML document: {0}")]
    Yaml(String),
    #[error(transparent)]
    Rules(#[from] Faults),
    #[error("{}", .0.join("; "))]
    Instances(Vec<String>),
}

/// The content of a file.
struct Document<'a> {
    text: &'a str,
    json: bool,
}

struct File<T> {
    path: PathBuf,
    read: fn(&Document<'_>) -> Result<Vec<T>, FileError>,
    recheck: Duration,
}

impl<T: Item> File<T> {
    async fn keep(&self, out: Publisher<T>, link: watch::Sender<Link>) {
        let mut changes = Changes::of([&self.path], self.recheck);
        let epoch = Epoch::fresh();
        let mut revision = Revision(0);
        let mut seen: Option<Result<Hash, String>> = None;
        let mut problem = None;
        loop {
            let known = seen.as_ref().and_then(|s| s.as_ref().ok().copied());
            let found = content::load(&self.path, known).await;
            let found = found.map_err(|e| e.to_string());
            // What is there is read once, good or bad; so is what is not there.
            let news = match found {
                Ok(None) => None,
                Ok(Some((hash, bytes))) => {
                    seen = Some(Ok(hash));
                    Some(self.parse(&bytes).map_err(|e| e.to_string()))
                }
                Err(e) if matches!(&seen, Some(Err(before)) if *before == e) => None,
                Err(e) => {
                    seen = Some(Err(e.clone()));
                    Some(Err(e))
                }
            };
            match news {
                None => {}
                Some(Ok(items)) => {
                    problem = None;
                    revision = Revision(revision.0 + 1);
                    info!(file = %self.path.display(), items = items.len(), "loaded");
                    let items = items.into_iter().map(Into::into).collect();
                    out.replace(&epoch, revision, items);
                }
                Some(Err(e)) => {
                    let told = format!("{}: {e}", self.path.display());
                    warn!(problem = told, "the last good state stays");
                    problem = Some(told);
                }
            }
            link.send_modify(|link| {
                link.connected = problem.is_none();
                link.problem = problem.clone();
                if problem.is_none() {
                    link.last_contact = Some(Instant::now());
                }
            });
            changes.next().await;
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<T>, FileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FileError::Text)?;
        let json = self
            .path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let items = (self.read)(&Document { text, json })?;
        match items.len() > MAX_ITEMS {
            true => Err(FileError::TooMany),
            false => Ok(items),
        }
    }
}

#[async_trait]
impl<T: Item> Source<T> for File<T> {
    async fn run(self: Box<Self>, out: Publisher<T>, link: watch::Sender<Link>, stop: Stop) {
        stop.race(self.keep(out, link)).await;
    }
}

#[cfg(test)]
mod tests;
