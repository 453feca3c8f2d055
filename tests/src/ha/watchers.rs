//! Watchers that go on at the other server when one fails.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::Value;

use super::beats::Beats;
use super::history::List;
use super::pair::Pair;
use super::{Crew, Report};
use crate::wait::PATIENCE;

/// A server that says nothing for so long is left for the other; bookmarks come more often.
const SILENCE: Duration = Duration::from_secs(15);

#[derive(Default)]
pub(super) struct Watched {
    all: Mutex<Vec<Arc<Mutex<Seen>>>>,
    lists: Mutex<Vec<List>>,
}

/// What one watcher has been told.
#[derive(Default)]
struct Seen {
    member: &'static str,
    epoch: String,
    revision: u64,
    ids: BTreeSet<String>,
    removed: BTreeSet<String>,
    resets: usize,
    faults: Vec<String>,
}

impl Watched {
    pub(super) fn start(
        self: &Arc<Self>,
        pair: &Arc<Pair>,
        path: &'static str,
        count: usize,
        crew: &mut Crew,
    ) {
        for _ in 0..count {
            let seen = Arc::new(Mutex::new(Seen {
                member: if path.contains("rules") {
                    "rules"
                } else {
                    "instances"
                },
                ..Seen::default()
            }));
            self.all.lock().unwrap().push(seen.clone());
            let (watched, pair, stop) = (self.clone(), pair.clone(), crew.stop.clone());
            crew.tasks
                .spawn(async move { watched.watch(&pair, path, &seen, &stop).await });
        }
    }

    async fn watch(&self, pair: &Pair, path: &str, seen: &Mutex<Seen>, stop: &AtomicBool) {
        let mut at = pair.first();
        let mut ending = None;
        loop {
            let from = {
                let seen = seen.lock().unwrap();
                format!("{path}&epoch={}&revision={}", seen.epoch, seen.revision)
            };
            let answer = pair.http().get(pair.url(at, &from)).send().await;
            at += 1;
            let Some(answer) = answer.ok().filter(|answer| answer.status().is_success()) else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let (mut pieces, mut buffer) = (answer.bytes_stream(), Vec::new());
            let mut heard = Instant::now();
            while heard.elapsed() < SILENCE {
                if stop.load(Ordering::Relaxed) {
                    let since = *ending.get_or_insert_with(Instant::now);
                    if self.agrees(seen) || since.elapsed() > PATIENCE {
                        return;
                    }
                }
                let piece = tokio::time::timeout(Duration::from_millis(500), pieces.next());
                match piece.await {
                    Err(_) => continue,
                    Ok(Some(Ok(piece))) => buffer.extend_from_slice(&piece),
                    Ok(_) => break,
                }
                heard = Instant::now();
                while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = buffer.drain(..=end).collect();
                    seen.lock()
                        .unwrap()
                        .take(&serde_json::from_slice(&line).unwrap());
                }
            }
        }
    }

    /// Says what there is in the end.
    pub(super) fn settle(&self, lists: &[List]) {
        *self.lists.lock().unwrap() = lists.to_vec();
    }

    fn agrees(&self, seen: &Mutex<Seen>) -> bool {
        let seen = seen.lock().unwrap();
        let lists = self.lists.lock().unwrap();
        let list = lists.iter().find(|list| list.member == seen.member);
        list.is_some_and(|list| {
            list.ids()
                .iter()
                .copied()
                .eq(seen.ids.iter().map(String::as_str))
        })
    }

    pub(super) fn judge(&self, beats: &Beats, report: &mut Report) {
        for seen in self.all.lock().unwrap().iter() {
            if !self.agrees(seen) {
                report
                    .faults
                    .push("a watcher has not come to what the lists say".to_owned());
            }
            let seen = seen.lock().unwrap();
            report.resets += seen.resets.saturating_sub(1);
            report.faults.extend(seen.faults.iter().cloned());
            let gone = seen.removed.iter().filter(|id| beats.has(id)).count();
            if gone > 0 {
                let fault = format!("a watcher saw {gone} instances go that sent heartbeats");
                report.faults.push(fault);
            }
        }
    }
}

impl Seen {
    fn take(&mut self, event: &Value) {
        let revision = event["revision"].as_u64().unwrap();
        let items = event["items"].as_array().into_iter().flatten();
        let items = items.map(|item| item["id"].as_str().unwrap().to_owned());
        if revision < self.revision {
            let fault = format!("a revision goes back from {}: {event:.200}", self.revision);
            self.faults.push(fault);
        }
        self.revision = revision;
        if event["type"] == "RESET" {
            let epoch = event["epoch"].as_str().unwrap();
            if !self.epoch.is_empty() && self.epoch != epoch {
                self.faults
                    .push(format!("the epoch changed: {} {epoch}", self.epoch));
            }
            self.epoch = epoch.to_owned();
            self.resets += 1;
            let now: BTreeSet<String> = items.collect();
            self.removed.extend(self.ids.difference(&now).cloned());
            self.ids = now;
            return;
        }
        self.ids.extend(items);
        for id in event["ids"].as_array().into_iter().flatten() {
            let id = id.as_str().unwrap();
            self.ids.remove(id);
            self.removed.insert(id.to_owned());
        }
    }
}
