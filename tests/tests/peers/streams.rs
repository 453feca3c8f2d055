//! What is sent piece by piece arrives piece by piece, as fast as it is read.

use std::process::Stdio;

use a8_tests::wait::{self, PATIENCE};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::callers::{Both, Way};
use crate::instances::{self, BIG, noise};
use crate::setup::Setup;
use crate::tools;

/// curl, with its standard input and output at hand.
fn open(way: &Way<'_>, path: &str, more: &[&str]) -> Child {
    let mut command = way.command();
    command.arg("-N").args(more).arg(way.url(path));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until a request is on its way to an instance of `service`.
async fn in_flight(way: &Way<'_>, service: &str) {
    wait::until("a request in flight", || async {
        let clusters = way.sidecar.sidecar.admin("/clusters").await;
        let text = clusters.to_string();
        match text.contains(service) && flying(&clusters) {
            true => Ok(()),
            false => Err(text),
        }
    })
    .await;
}

/// Whether anything in `value` says that requests are in flight.
fn flying(value: &Value) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(k, v)| (k == "in_flight" && v.as_u64() > Some(0)) || flying(v)),
        Value::Array(items) => items.iter().any(flying),
        _ => false,
    }
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let mut setup = Setup::new();
    let instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    for way in both.ways() {
        let mut curl = open(&way, "/python/pieces/3", &[]);
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        let mut next = async || timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        for number in 0..3 {
            // The instance sends no other before it is told to.
            assert_eq!(next().await.unwrap(), format!("data: {number}"));
            assert_eq!(next().await.unwrap(), "");
            if number < 2 {
                instances.go().await;
            }
        }
        assert_eq!(next().await, None);
        assert!(curl.wait().await.unwrap().success());
    }
}

#[tokio::test]
async fn both_directions_move_at_once() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let sidecar = setup.start().await;
    // curl does not read while it waits for more to send.
    let mut nc = Command::from(tools::program("nc"));
    nc.args(["127.0.0.1", &sidecar.port.to_string()]);
    nc.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nc = nc.kill_on_drop(true).spawn().unwrap();
    let mut to = nc.stdin.take().unwrap();
    let mut lines = BufReader::new(nc.stdout.take().unwrap()).lines();
    let head = "PUT /python/mirror HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    to.write_all(head.as_bytes()).await.unwrap();
    let mut next = async || timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(next().await.unwrap(), "HTTP/1.1 200 OK");
    while next().await.unwrap() != "" {}
    for piece in ["one", "and two", "and so on"] {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        to.write_all(chunk.as_bytes()).await.unwrap();
        assert_eq!(next().await.unwrap(), format!("{:x}", piece.len()));
        assert_eq!(next().await.unwrap(), piece);
    }
    to.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(next().await.unwrap(), "0");
}

/// The most memory that the sidecar has ever had, in bytes.
fn most_memory(way: &Way<'_>) -> u64 {
    way.sidecar.sidecar.process.peak_resident()
}

/// The body that passed was not collected for `whom`.
fn nothing_was_kept(way: &Way<'_>, before: u64, whom: &str) {
    let grown = most_memory(way).saturating_sub(before);
    assert!(
        grown < BIG as u64 / 2,
        "{grown} bytes were kept for the {whom}"
    );
}

#[tokio::test]
async fn an_instance_that_does_not_read_holds_up_its_caller_only() {
    let mut setup = Setup::new();
    let instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let file = setup.folder().join("upload");
    std::fs::write(&file, noise(BIG)).unwrap();
    let file = file.display().to_string();
    for way in both.ways() {
        let before = most_memory(&way);
        let mut curl = open(&way, "/python/slow", &["-T", &file]);
        in_flight(&way, "python").await;
        // Others are served meanwhile.
        way.expect(200, "/nginx/small", &[]).await;
        way.expect(200, "/nghttpd/small", &[]).await;
        instances.go().await;
        let mut text = String::new();
        let mut from = curl.stdout.take().unwrap();
        timeout(PATIENCE, from.read_to_string(&mut text))
            .await
            .unwrap()
            .unwrap();
        assert!(text.contains(&BIG.to_string()), "{text}");
        nothing_was_kept(&way, before, "instance");
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_up_itself_only() {
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let wanted = noise(BIG);
    for way in both.ways() {
        for service in ["nginx", "nghttpd"] {
            let before = most_memory(&way);
            let path = format!("/{service}/big");
            let mut curl = open(&way, &path, &[]);
            let mut from = curl.stdout.take().unwrap();
            let mut body = vec![0; 1000];
            timeout(PATIENCE, from.read_exact(&mut body))
                .await
                .unwrap()
                .unwrap();
            for _ in 0..20 {
                way.expect(200, &format!("/{service}/small"), &[]).await;
            }
            timeout(PATIENCE, from.read_to_end(&mut body))
                .await
                .unwrap()
                .unwrap();
            assert!(body == wanted, "{path} by {}", way.name());
            nothing_was_kept(&way, before, "caller");
        }
    }
}
