//! Callers that break the rules of HTTP/2, or use them to flood.

use a8_tests::faulty::{HEADERS, PREFACE, frame, settings};
use a8_tests::wait::PATIENCE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bench::Plan;

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// GET of `http://sane/` (RFC 7541, appendix A).
fn get(stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        5,
        stream,
        &[&[0x82, 0x86, 0x84, 0x41, 4][..], b"sane"].concat(),
    )
}

fn begun(frames: &[Vec<u8>]) -> Vec<u8> {
    [PREFACE.to_vec(), settings(), frames.concat()].concat()
}

/// The kinds of the frames in `heard`, as far as they are whole.
fn kinds(mut heard: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = *heard {
        kinds.push(kind);
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        heard = heard.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[tokio::test]
async fn a_caller_that_breaks_http2_is_told_and_ended() {
    let bench = Plan::new().await.start().await;
    let pad = [0, 1, b'x', 0x7f, 0x81, 0x7c];
    let long = [&pad[..], &[b'v'; 16_000]].concat();
    let mut endless = vec![frame(HEADERS, 0, 1, &[0x82, 0x86, 0x84])];
    endless.extend((0..200).map(|_| frame(9, 0, 1, &long)));
    for (what, frames) in [
        ("an endless head", endless),
        ("bad compression", vec![frame(HEADERS, 5, 1, &[0xff; 20])]),
        ("an even stream", vec![get(2)]),
        ("a stream that was", vec![get(3), get(1)]),
        ("settings of a stream", vec![frame(4, 0, 1, &[])]),
        ("a short ping", vec![frame(6, 0, 0, &[0; 3])]),
        ("a lone continuation", vec![frame(9, 4, 1, &[0x82])]),
        ("a promise", vec![frame(5, 4, 1, &[0, 0, 0, 2, 0x82])]),
        ("a huge frame", vec![frame(0, 0, 1, &vec![0; 70_000])]),
        ("a window of nothing", vec![frame(8, 0, 0, &[0; 4])]),
        ("data of nothing", vec![frame(0, 0, 5, b"x")]),
    ] {
        let heard = bench.say(&begun(&frames)).await;
        assert!(
            kinds(&heard).contains(&GOAWAY),
            "{what}: {:?}",
            kinds(&heard)
        );
        bench.is_sane().await;
    }
    bench.ends_well().await;
}

/// Opening streams and taking them back costs a caller nothing, so there is an end to it
/// (CVE-2023-44487); so there is to frames that nobody needs.
#[tokio::test]
async fn a_caller_that_floods_is_ended_or_served_and_takes_nobody_along() {
    let bench = Plan::new().await.start().await;
    let reset = |id: u32| [get(id), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat();
    let resets: Vec<u8> = (0..5_000).flat_map(|n| reset(2 * n + 1)).collect();
    for flood in [
        resets,
        frame(6, 0, 0, &[0; 8]).repeat(50_000),
        settings().repeat(50_000),
        frame(2, 0, 1, &[0, 0, 0, 0, 0]).repeat(50_000),
    ] {
        let mut stream = TcpStream::connect(bench.to).await.unwrap();
        let (mut from, mut to) = stream.split();
        let all = begun(&[flood]);
        let write = async {
            let _ = to.write_all(&all).await;
            let _ = to.shutdown().await;
        };
        let mut heard = Vec::new();
        let both = async { tokio::join!(write, from.read_to_end(&mut heard)) };
        // How it ended does not matter, but that it did.
        let _ = timeout(PATIENCE, both)
            .await
            .expect("there is no end to it");
        bench.is_sane().await;
    }
    let memory = bench.running.sidecar.process.peak_resident();
    assert!(memory < 150_000_000, "{memory}");
    bench.ends_well().await;
}

/// A caller that gives no room for an answer holds up itself alone.
#[tokio::test]
async fn a_caller_without_a_window_holds_up_nobody() {
    let bench = Plan::new().await.start().await;
    // SETTINGS_INITIAL_WINDOW_SIZE (4) is 0.
    let none = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut stream = TcpStream::connect(bench.to).await.unwrap();
    let asked = [PREFACE.to_vec(), none, get(1), get(3)].concat();
    stream.write_all(&asked).await.unwrap();
    let mut heard = Vec::new();
    let mut read = async |heard: &mut Vec<u8>| {
        let read = timeout(PATIENCE, stream.read_buf(heard)).await;
        assert!(read.unwrap().unwrap() > 0, "the connection has ended");
    };
    while kinds(&heard).iter().filter(|k| **k == HEADERS).count() < 2 {
        read(&mut heard).await;
    }
    assert!(!kinds(&heard).contains(&0), "data without a window");
    bench.is_sane().await;
    let more = [frame(8, 0, 1, &[0, 0, 1, 0]), frame(8, 0, 3, &[0, 0, 1, 0])].concat();
    stream.write_all(&more).await.unwrap();
    let mut read = async |heard: &mut Vec<u8>| {
        let read = timeout(PATIENCE, stream.read_buf(heard)).await;
        assert!(read.unwrap().unwrap() > 0, "the connection has ended");
    };
    while String::from_utf8_lossy(&heard).matches("sane/v1").count() < 2 {
        read(&mut heard).await;
    }
    drop(stream);
    bench.ends_well().await;
}
