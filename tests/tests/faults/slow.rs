//! What comes a few bytes at a time.

use std::time::Duration;

use a8_tests::caller::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bench::{Plan, is_told, rest};

/// An instance that says `head` byte by byte with a pause after each, and then `body` so.
async fn trickling(plan: &mut Plan, service: &str, pause: u64) -> JoinSet<()> {
    const SAID: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    plan.setup.instance(service, "http", address);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                for byte in SAID {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            });
        }
    });
    task
}

#[tokio::test]
async fn an_instance_that_trickles_is_heard_to_its_end_or_until_the_time_limit() {
    let mut plan = Plan::new().await;
    let patient = trickling(&mut plan, "patient", 20).await;
    let late = trickling(&mut plan, "late", 500).await;
    plan.limit("late", 1.0, 0);
    let bench = plan.start().await;
    for (version, mut caller) in bench.callers() {
        let answer = caller.send(get("/patient/x")).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, &b"whole"[..])
        );
        let answer = caller.send(get("/late/x")).await.unwrap();
        is_told(&answer, 504, "UT", version);
    }
    drop((patient, late));
    bench.ends_well().await;
}

/// Each byte of a body counts as movement, whatever all of them take.
#[tokio::test]
async fn a_body_may_take_longer_than_the_idle_timeout_as_long_as_it_moves() {
    let mut plan = Plan::new().await;
    plan.setup.set("idle_timeout", "2s");
    let patient = trickling(&mut plan, "patient", 60).await;
    let bench = plan.start().await;
    let pieces = "GET /patient/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let heard = bench.say(pieces.as_bytes()).await;
    assert!(heard.ends_with(b"\r\n\r\nwhole"));
    drop(patient);
    bench.ends_well().await;
}

/// A caller whose head does not come to its end, or that says nothing after some of the
/// preface of HTTP/2, does not keep its connection.
#[tokio::test]
async fn a_caller_that_does_not_finish_its_head_is_let_go() {
    let bench = Plan::new().await.start().await;
    let mut open = JoinSet::new();
    for begin in [
        "G",
        "GET /sane/x HTTP/1.1\r\nHost: x\r\nX-Half",
        "PRI * HTTP/2",
    ] {
        let to = bench.to;
        open.spawn(async move {
            let mut stream = TcpStream::connect(to).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            (begin, rest(stream).await)
        });
    }
    // More bytes buy no time.
    let to = bench.to;
    let trickle = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream
            .write_all(b"GET /sane/x HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(a8_tests::wait::PATIENCE, trickle)
        .await
        .expect("it may go on for ever");
    for (begin, heard) in open.join_all().await {
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(!heard.contains(" 200 "), "{begin}: {heard}");
    }
    bench.ends_well().await;
}
