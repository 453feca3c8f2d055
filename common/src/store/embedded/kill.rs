//! A process that is killed at any moment loses nothing that it has answered.
//!
//! The test binary starts itself as the process to be killed: the child writes into its
//! working folder and prints each key once the store has answered for it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::Embedded;
use crate::store::{Store, Transaction};
use crate::task::{Stop, Tasks};

const ROUNDS: u64 = 12;
/// Only a folder with this file is written into.
const MARKER: &str = "to-be-killed";
const DONE: &str = "answered ";

#[test]
#[ignore = "started by the test below, as the process to be killed"]
fn child() {
    if !Path::new(MARKER).exists() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new(Stop::new());
        let store = Arc::new(Embedded::open(Path::new("."), &tasks).await.unwrap());
        let mut writers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let store = store.clone();
            writers.spawn(async move {
                loop {
                    let key = format!("{:016x}", fastrand::u64(..));
                    let pair = Transaction::new()
                        .put(format!("a/{key}"), key.clone())
                        .put(format!("b/{key}"), key.clone());
                    store.commit(pair).await.unwrap();
                    println!("{DONE}{key}");
                }
            });
        }
        writers.join_all().await;
    });
}

#[test]
fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(MARKER), "").unwrap();
    let mut answered = BTreeSet::new();
    for round in 0..ROUNDS {
        let before = answered.len();
        answered.extend(run_and_kill(folder.path(), round));
        assert!(answered.len() > before, "round {round} wrote nothing");
        check(folder.path(), &answered);
    }
}

/// What the child had answered by the time it was killed.
fn run_and_kill(folder: &Path, round: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture"])
        .arg(
            concat!(module_path!(), "::child")
                .split_once("::")
                .unwrap()
                .1,
        )
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answered = Vec::new();
    // What comes after these is between two writes, or in the middle of one, by chance.
    while answered.len() < 1 + 7 * round as usize {
        let line = lines.next().expect("the child goes on writing").unwrap();
        answered.extend(key(&line));
    }
    std::thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut short: it was not yet an answer.
    answered.extend(lines.filter_map(|line| key(&line.ok()?)));
    answered
}

fn key(line: &str) -> Option<String> {
    let (_, key) = line.split_once(DONE)?;
    (key.len() == 16).then(|| key.to_owned())
}

fn check(folder: &Path, answered: &BTreeSet<String>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tasks = Tasks::new(Stop::new());
        let store = Embedded::open(folder, &tasks).await.unwrap();
        let kept = |prefix: &'static str| {
            let store = &store;
            async move {
                let range = store.range(prefix).await.unwrap();
                let key = |e: &Arc<crate::store::Entry>| e.key[prefix.len()..].to_owned();
                range.entries.iter().map(key).collect::<BTreeSet<_>>()
            }
        };
        let (a, b) = (kept("a/").await, kept("b/").await);
        assert_eq!(a, b, "a transaction was torn");
        let lost: Vec<_> = answered.difference(&a).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        let range = store.range("").await.unwrap();
        let newest = range.entries.iter().map(|e| e.mod_revision).max();
        assert_eq!(newest, Some(range.revision));
        tasks.finish(Duration::from_secs(20)).await;
    });
}
