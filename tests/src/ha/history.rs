//! What was acknowledged, and what is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::Report;
use crate::server::Server;

/// A list as a server gave it.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) member: &'static str,
    items: BTreeMap<String, Value>,
}

impl List {
    pub(super) async fn read(server: &Server, path: &str, member: &'static str) -> Self {
        let list = server.get(path).await.expect(200).json();
        let items = list[member].as_array().unwrap().iter();
        let items = items.map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone()));
        let items = items.collect();
        Self { member, items }
    }

    pub(super) fn ids(&self) -> BTreeSet<&str> {
        self.items.keys().map(String::as_str).collect()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.items.contains_key(id)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

/// What the writers know of each key.
#[derive(Default)]
pub(super) struct History(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// By list and id: whether it was last acknowledged to be there.
    there: BTreeMap<(&'static str, String), bool>,
    unsure: BTreeSet<(&'static str, String)>,
    acknowledged: usize,
}

impl History {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap()
    }

    /// A write was acknowledged, after which the item is there or is not.
    pub(super) fn acknowledged(&self, member: &'static str, id: &str, there: bool) {
        let mut known = self.known();
        known.acknowledged += 1;
        known.there.insert((member, id.to_owned()), there);
    }

    /// A write may or may not have been done. Its item is not touched again, as it may still
    /// be done at any time.
    pub(super) fn unsure(&self, member: &'static str, id: &str) {
        self.known().unsure.insert((member, id.to_owned()));
    }

    pub(super) fn judge(&self, list: &List, report: &mut Report) {
        let known = self.known();
        report.writes = known.acknowledged;
        report.unsure = known.unsure.len();
        for ((member, id), there) in &known.there {
            let key = (*member, id.clone());
            if *member != list.member || known.unsure.contains(&key) || list.has(id) == *there {
                continue;
            }
            report.faults.push(match there {
                true => format!("{member}: {id} was acknowledged and is lost"),
                false => format!("{member}: {id} was deleted and is back"),
            });
        }
    }
}
