//! Instances that break the rules of HTTP/2, or are odd within them.

use a8_tests::caller::{Caller, get, request};
use a8_tests::faulty::{HEADERS, Then, frame, head, settings};
use http::Method;

use crate::bench::{Plan, is_told};

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What follows the instance's settings.
fn then(frames: &[Vec<u8>]) -> Vec<u8> {
    [settings(), frames.concat()].concat()
}

fn reset(code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, 1, &[0, 0, 0, code])
}

/// The end of the connection, after the stream `last`.
fn goaway(last: u8, code: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, code])
}

/// A literal field that is not indexed, of any length below 16 KiB or so (RFC 7541, 6.2.2).
fn field(value: usize) -> Vec<u8> {
    let mut field = vec![0, 1, b'x', 0x7f];
    let mut rest = value - 0x7f;
    while rest > 0x7f {
        field.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    field.push(rest as u8);
    field.extend(vec![b'v'; value]);
    field
}

/// A head that goes on in frames beyond all bounds.
fn endless_head() -> Vec<Vec<u8>> {
    let begin = [&[0x88][..], &field(10_000)].concat();
    let mut frames = vec![frame(HEADERS, 0, 1, &begin)];
    frames.extend((0..20).map(|_| frame(CONTINUATION, 0, 1, &field(10_000))));
    frames.push(frame(CONTINUATION, END_HEADERS, 1, &field(10_000)));
    frames
}

#[tokio::test]
async fn an_instance_that_breaks_http2_is_a_bad_gateway() {
    let mut plan = Plan::new().await;
    let mut services = Vec::new();
    for (name, what) in [
        ("reset-none", then(&[reset(0)])),
        ("reset-protocol", then(&[reset(1)])),
        ("reset-refused", then(&[reset(7)])),
        ("reset-cancel", then(&[reset(8)])),
        ("reset-calm", then(&[reset(11)])),
        ("goaway-unseen", then(&[goaway(0, 0)])),
        ("goaway-calm", then(&[goaway(1, 11)])),
        ("endless-head", then(&endless_head())),
        ("data-first", then(&[frame(DATA, END_STREAM, 1, b"x")])),
        ("settings-of-stream", then(&[frame(SETTINGS, 0, 1, &[])])),
        ("settings-of-5", then(&[frame(SETTINGS, 0, 0, &[0; 5])])),
        ("ping-of-7", then(&[frame(PING, 0, 0, &[0; 7])])),
        ("window-0", then(&[frame(WINDOW_UPDATE, 0, 0, &[0; 4])])),
        ("continuation", then(&[frame(CONTINUATION, 4, 1, &[0x88])])),
        (
            "push",
            then(&[frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2, 0x88])]),
        ),
        ("foreign", then(&[frame(HEADERS, 4, 77, &[0x88])])),
        ("huge-frame", then(&[frame(DATA, 0, 1, &vec![0; 70_000])])),
    ] {
        plan.two(name, what, Then::Close).await;
        services.push(name);
    }
    let bench = plan.start().await;
    for (version, mut caller) in bench.callers() {
        for service in &services {
            let what = format!("{service} by {version}");
            let answer = caller.send(get(&format!("/{service}/x"))).await.unwrap();
            is_told(&answer, 502, "UF", &what);
        }
    }
    bench.ends_well().await;
}

#[tokio::test]
async fn an_instance_that_floods_is_ended_in_time_and_takes_nobody_along() {
    let mut plan = Plan::new().await;
    let ping = frame(PING, 0, 0, &[0; 8]);
    let empty = frame(DATA, 0, 1, &[]);
    let early = b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".to_vec();
    plan.one("early", early, Then::Repeat).await;
    plan.two("settings", settings().repeat(100), Then::Repeat)
        .await;
    let pings = [settings(), ping.repeat(100)].concat();
    // What it repeats are settings and pings.
    plan.two("pings", pings, Then::Repeat).await;
    let begun = [settings(), head(), empty.repeat(100_000)].concat();
    plan.two("empty", begun, Then::Close).await;
    for service in ["early", "settings", "pings"] {
        plan.limit(service, 1.0, 0);
    }
    let bench = plan.start().await;
    for (version, mut caller) in bench.callers() {
        for service in ["early", "settings", "pings"] {
            let answer = caller.send(get(&format!("/{service}/x"))).await.unwrap();
            let told = [502, 504].contains(&answer.status.as_u16());
            assert!(told, "{service} by {version}: {answer:?}");
            bench.is_sane().await;
        }
        let broken = caller.send(get("/empty/x")).await;
        assert!(broken.is_err(), "{version}: {broken:?}");
    }
    let memory = bench.running.sidecar.process.peak_resident();
    assert!(memory < 150_000_000, "{memory}");
    bench.ends_well().await;
}

#[tokio::test]
async fn an_instance_that_leaves_in_good_order_answers_what_it_took() {
    let mut plan = Plan::new().await;
    let body = frame(DATA, END_STREAM, 1, b"whole");
    let leaving = then(&[goaway(1, 0), head(), body.clone()]);
    plan.two("leaving", leaving, Then::Close).await;
    // It resets what it has answered, so that no more is sent to it (RFC 9113, 8.1).
    let enough = then(&[head(), body.clone(), reset(0)]);
    plan.two("enough", enough, Then::Close).await;
    // A connection that its peer has ended is not used for another request.
    plan.two("once", then(&[head(), body]), Then::Close).await;
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
    plan.one("once-one", one, Then::Close).await;
    plan.one("once-reset", one, Then::Reset).await;
    let bench = plan.start().await;
    for (version, mut caller) in bench.callers() {
        for service in ["leaving", "enough", "once", "once-one", "once-reset"] {
            for _ in 0..3 {
                let answer = caller.send(get(&format!("/{service}/x"))).await.unwrap();
                assert_eq!(answer.status, 200, "{service} by {version}: {answer:?}");
                assert_eq!(answer.body, "whole", "{service} by {version}");
                // It ends the connection right after.
                bench.is_sane().await;
            }
        }
    }
    bench.ends_well().await;
}

/// A stream that was refused has had no effect (RFC 9113, 8.7), so even a POST may be sent
/// again, where retries are asked for.
#[tokio::test]
async fn what_an_instance_refused_is_sent_again_also_a_post() {
    let mut plan = Plan::new().await;
    for (service, what) in [
        ("refused", then(&[reset(7)])),
        ("unseen", then(&[goaway(0, 0)])),
        // These may have had an effect.
        ("cancelled", then(&[reset(8)])),
        ("taken", then(&[goaway(1, 0)])),
    ] {
        plan.two(service, what, Then::Close).await;
        plan.limit(service, 5.0, 2);
    }
    let bench = plan.start().await;
    for (service, retries) in [
        ("refused", 2),
        ("unseen", 2),
        ("cancelled", 0),
        ("taken", 0),
    ] {
        let post = request(Method::POST, &format!("/{service}/x"), "body");
        let answer = Caller::two(bench.to).send(post).await.unwrap();
        is_told(&answer, 502, "UF", service);
        let line = &bench.running.told(&format!("/{service}/x"), 1).await[0];
        assert_eq!(line["retries"], retries, "{line}");
    }
    bench.ends_well().await;
}
