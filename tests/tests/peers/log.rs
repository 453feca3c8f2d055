//! An access log that nobody reads: requests and the end of the process go on without it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;

use a8_tests::wait;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::faulty::{Faulty, Then};
use crate::setup::{Running, Setup};

const OK: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

async fn dropped(sidecar: &Running) -> u64 {
    let url = format!("{}/metrics", sidecar.sidecar.admin);
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let name = "a8_access_log_dropped_total ";
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    value.parse().unwrap()
}

/// Makes requests, which are all served, until more lines than now are dropped.
async fn served_until_lines_are_dropped(sidecar: &Running) {
    let before = dropped(sidecar).await;
    wait::until("lines to be dropped", async || {
        for answer in sidecar.sidecar.get_many("/s/x", 100).await {
            assert_eq!(answer.as_deref(), Ok("ok"));
        }
        match dropped(sidecar).await {
            now if now > before => Ok(()),
            now => Err(format!("{now} dropped")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_nothing_up() {
    let mut setup = Setup::new();
    let pipe = setup.folder().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let origin = Faulty::new(OK, Then::Close).await;
    setup.instance("s", "http", origin.address);
    setup.set("access_log", json!(pipe));
    let started = timeout(wait::PATIENCE, setup.start()).await;
    let mut sidecar = started.unwrap();
    served_until_lines_are_dropped(&sidecar).await;

    // Who begins to read gets whole lines.
    let read = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(File::open(pipe).unwrap()).lines();
        for _ in 0..500 {
            let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert_eq!(
                (&line["path"], &line["status"]),
                (&json!("/s/x"), &json!(200))
            );
        }
        lines
    });
    let stalled = timeout(wait::PATIENCE, read).await;
    let stalled = stalled.unwrap().unwrap();
    // It stalls again, and the process ends nevertheless.
    served_until_lines_are_dropped(&sidecar).await;
    let process = &mut sidecar.sidecar.process;
    process.signal(Signal::TERM);
    assert_eq!(process.exit().await.code(), Some(0));
    let told = process.stderr();
    assert!(told.contains("could not be written to its end"), "{told}");
    drop(stalled);
}
