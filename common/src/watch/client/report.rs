//! Tells people how a client stands: on its [`Link`] always, in the log once per news.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Instant;

use reqwest::Url;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::session::Failure;
use crate::source::Link;
use crate::view::Item;
use crate::watch::codec::{Batch, Unreadable};

/// How many different failures in a row are told in the log, and how many unreadable items.
const MAX_TOLD: usize = 16;

pub(super) struct Report {
    /// What the items are called.
    what: &'static str,
    link: watch::Sender<Link>,
    /// Failures told since the last contact.
    told: BTreeSet<String>,
    /// Items left out now: id and reason.
    left_out: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(what: &'static str, link: watch::Sender<Link>) -> Self {
        Self {
            what,
            link,
            told: BTreeSet::new(),
            left_out: BTreeMap::new(),
        }
    }

    /// The server has told something.
    pub(super) fn heard(&mut self, from: &Url) {
        self.told.clear();
        let problem = self.problem();
        let mut news = false;
        self.link.send_modify(|link| {
            news = !link.connected;
            *link = Link {
                connected: true,
                last_contact: Some(Instant::now()),
                left_out: self.left_out.len(),
                problem,
            };
        });
        if news {
            info!(server = %from, what = self.what, "connected");
        }
    }

    /// The server cannot be reached, refuses, or talks nonsense.
    pub(super) fn failed(&mut self, server: &Url, failure: &Failure) {
        let problem = match failure {
            Failure::Peer(names_it) => names_it.to_string(),
            other => format!("{server}: {other}"),
        };
        if self.told.len() < MAX_TOLD && self.told.insert(problem.clone()) {
            warn!(
                what = self.what,
                problem, "not connected, the last known state stays"
            );
        } else {
            debug!(what = self.what, problem, "still not connected");
        }
        self.link.send_modify(|link| {
            link.connected = false;
            link.problem = Some(problem);
        });
    }

    /// These items of the whole state were left out, and no others.
    pub(super) fn left_out_of_all<Id: Debug>(&mut self, items: &[Unreadable<Id>]) {
        let before = std::mem::take(&mut self.left_out);
        self.note(&before, items);
    }

    /// These items of one transaction were left out; others came well, or went.
    pub(super) fn left_out<T: Item>(&mut self, batch: &Batch<T>, gone: &[T::Id]) {
        if self.left_out.is_empty() && batch.unreadable.is_empty() {
            return;
        }
        for id in batch.items.iter().map(|i| i.id()).chain(gone) {
            self.left_out.remove(&format!("{id:?}"));
        }
        let before = self.left_out.clone();
        self.note(&before, &batch.unreadable);
    }

    fn note<Id: Debug>(&mut self, before: &BTreeMap<String, String>, items: &[Unreadable<Id>]) {
        let mut more = 0;
        for (told, item) in items.iter().enumerate() {
            let id = match &item.id {
                Some(id) => format!("{id:?}"),
                None => "one without an id".to_owned(),
            };
            if before.get(&id) != Some(&item.reason) {
                if told < MAX_TOLD {
                    warn!(
                        what = self.what,
                        id,
                        reason = item.reason,
                        "left out: not understood"
                    );
                } else {
                    more += 1;
                }
            }
            self.left_out.insert(id, item.reason.clone());
        }
        if more > 0 {
            warn!(what = self.what, more, "left out: not understood");
        }
    }

    fn problem(&self) -> Option<String> {
        let (id, reason) = self.left_out.first_key_value()?;
        let (what, count) = (self.what, self.left_out.len());
        Some(format!(
            "left out {count} of the {what}; the first, {id}: {reason}"
        ))
    }
}
