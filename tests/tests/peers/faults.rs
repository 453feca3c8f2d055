//! Instances that fail, and what callers are told.

use serde_json::json;
use tempfile::TempDir;

use crate::callers::{Both, Version, Way};
use crate::faulty::{Faulty, Then, frame, head, settings};
use crate::papers::Papers;
use crate::setup::Setup;
use crate::{instances, tools};

/// What an instance says of HTTP/1 before it breaks off, and how.
fn within_http1() -> Vec<(&'static str, Vec<u8>, Then)> {
    let of = |text: &str| text.as_bytes().to_vec();
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(7_000));
    vec![
        ("closed", of(""), Then::Close),
        ("reset", of(""), Then::Reset),
        ("within-line", of("HTTP/1.1 20"), Then::Close),
        (
            "within-head",
            of("HTTP/1.1 200 OK\r\nContent-Le"),
            Then::Close,
        ),
        (
            "reset-within-head",
            of("HTTP/1.1 200 OK\r\nContent-Le"),
            Then::Reset,
        ),
        ("not-http", of("SSH-2.0-OpenSSH_9.2p1\r\n\r\n"), Then::Close),
        (
            "bytes",
            vec![0, 1, 2, 0xff, 0xfe, b'\r', b'\n'],
            Then::Close,
        ),
        (
            "bad-name",
            of("HTTP/1.1 200 OK\r\nB\x00d: 1\r\n\r\n"),
            Then::Close,
        ),
        (
            "bad-length",
            of("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n"),
            Then::Close,
        ),
        ("long", long.into_bytes(), Then::Close),
        ("many", many.into_bytes(), Then::Close),
    ]
}

/// The same of HTTP/2.
fn within_http2() -> Vec<(&'static str, Vec<u8>, Then)> {
    let old = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec();
    let begun = |more: Vec<u8>| [settings(), more].concat();
    let no_error = [0, 0, 0, 0, 0, 0, 0, 0];
    vec![
        ("closed", Vec::new(), Then::Close),
        ("reset", Vec::new(), Then::Reset),
        ("old", old, Then::Close),
        ("bytes", vec![0xff; 100], Then::Close),
        ("silent", settings(), Then::Close),
        ("goaway", begun(frame(7, 0, 0, &no_error)), Then::Close),
        ("bad-head", begun(frame(1, 4, 1, &[0xff; 10])), Then::Close),
        ("no-status", begun(frame(1, 4, 1, &[])), Then::Close),
        (
            "reset-stream",
            begun(frame(3, 0, 1, &[0, 0, 0, 2])),
            Then::Close,
        ),
    ]
}

/// The instance's failure is told as one of the connection.
async fn is_told(way: &Way<'_>, service: &str, error: &str) {
    let answer = way.expect(502, &format!("/{service}/x"), &[]).await;
    let body: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let name = way.name();
    assert_eq!(body["error"], error, "{service} by {name}: {body}");
    assert_eq!(body["service"], service, "{body}");
    assert_eq!(answer.fields("a8-error"), ["UF"], "{service} by {name}");
    assert_eq!(answer.fields("server"), ["a8sidecar"]);
}

#[tokio::test]
async fn one_that_fails_before_it_answers_is_a_bad_gateway() {
    let mut setup = Setup::new();
    let mut instances = Vec::new();
    for (name, what, then) in within_http1() {
        let instance = Faulty::new(what, then).await;
        setup.instance(&format!("one-{name}"), "http", instance.address);
        instances.push((format!("one-{name}"), instance));
    }
    for (name, what, then) in within_http2() {
        let instance = Faulty::new(what, then).await;
        setup.http2_instance(&format!("two-{name}"), instance.address);
        instances.push((format!("two-{name}"), instance));
    }
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for way in both.ways() {
        for (service, _) in &instances {
            is_told(&way, service, "connection_broken").await;
        }
    }
    let line = &both.plain.told("/one-long/x", 2).await[0];
    assert_eq!(
        (&line["response_flags"], &line["status"]),
        (&json!("UF"), &json!(502))
    );
    drop(instances);
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn one_that_fails_within_its_answer_breaks_the_answer_off() {
    let mut setup = Setup::new();
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let wrong = format!("{chunks}x\r\nno length\r\n");
    let data = [settings(), head(), frame(0, 0, 1, b"half")].concat();
    let cancelled = [&data[..], &frame(3, 0, 1, &[0, 0, 0, 8])].concat();
    let mut instances = Vec::new();
    for (name, what, then) in [
        ("length", text.as_bytes().to_vec(), Then::Close),
        ("length-reset", text.as_bytes().to_vec(), Then::Reset),
        ("chunks", chunks.as_bytes().to_vec(), Then::Close),
        ("wrong", wrong.into_bytes(), Then::Stall),
        ("two-close", data.clone(), Then::Close),
        ("two-reset", data, Then::Reset),
        ("two-cancel", cancelled, Then::Close),
    ] {
        let instance = Faulty::new(what, then).await;
        match name.starts_with("two") {
            true => setup.http2_instance(name, instance.address),
            false => setup.instance(name, "http", instance.address),
        }
        instances.push((name, instance));
    }
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for way in both.ways() {
        for (service, _) in &instances {
            // curl takes no status for a failure but with this argument.
            let answer = way.curl(&format!("/{service}/x"), &["--fail"]).await;
            assert_ne!(answer.exit, 0, "{service} by {}: {answer:?}", way.name());
            // A reset can come to light when the connection in HTTP/2 is written to, before
            // the head has been read.
            let told: &[u16] = match *service {
                "two-reset" => &[200, 502],
                _ => &[200],
            };
            // curl 7.88 loses a head that comes together with the reset of its stream.
            let lost = way.version == Version::Two && answer.status == 0;
            assert!(
                lost || told.contains(&answer.status),
                "{service}: {answer:?}"
            );
        }
    }
    let line = &both.plain.told("/chunks/x", 2).await[0];
    assert_eq!(
        (&line["response_flags"], &line["status"]),
        (&json!("UF"), &json!(200))
    );
    drop(instances);
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn one_that_cannot_be_reached_or_trusted_is_a_bad_gateway() {
    let mut setup = Setup::new();
    let peers = instances::start(&mut setup).await;
    let elsewhere = TempDir::new().unwrap();
    let others = Papers::new(elsewhere.path());
    let port = a8_tests::ports::free();
    let mut stranger = tools::program("nghttpd");
    stranger.args(["-a", "127.0.0.1", &port.to_string()]);
    stranger.args([&others.key, &others.chain]);
    let stranger = tools::serve("nghttpd", stranger);
    instances::listens(port).await;
    let plain = Faulty::new("HTTP/1.1 400 Bad Request\r\n\r\n", Then::Close).await;
    setup.instance(
        "refused",
        "http",
        format!("127.0.0.1:{}", a8_tests::ports::free()),
    );
    setup.instance("unknown", "http", "nobody.invalid:80");
    setup.instance("stranger", "https", format!("127.0.0.1:{port}"));
    setup.instance("other-name", "https", format!("127.0.0.2:{port}"));
    setup.instance("plain", "https", plain.address);
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for way in both.ways() {
        for service in ["refused", "unknown", "stranger", "other-name", "plain"] {
            is_told(&way, service, "connect_failed").await;
        }
        let nobody = way.expect(404, "/nobody/x", &[]).await;
        assert_eq!(nobody.fields("a8-error"), ["NR"]);
        // Failures elsewhere do not matter to those that work.
        way.expect(200, "/nginx-tls/small", &[]).await;
    }
    drop((plain, stranger, peers));
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn what_was_meant_for_the_other_protocol_is_refused() {
    let mut setup = Setup::new();
    let _peers = instances::start(&mut setup).await;
    let mut clear = Setup::new();
    // An instance that wants TLS, and is spoken to in clear.
    let port = setup.endpoint("nghttpd-tls");
    clear.instance("wants-tls", "http", port);
    let both = Both::start(&clear).await;
    for way in both.ways() {
        is_told(&way, "wants-tls", "connection_broken").await;
    }
    let before = [both.plain.open_files(), both.tls.open_files()];
    for version in [Version::One, Version::Two] {
        for (sidecar, wrong) in [(&both.plain, "https"), (&both.tls, "http")] {
            let way = Way::new(sidecar, version, &clear.papers);
            let mut curl = way.command();
            curl.arg(format!("{wrong}://127.0.0.1:{}/x", sidecar.port));
            let done = curl.output().await.unwrap();
            assert!(!done.status.success(), "{wrong} by {version:?}: {done:?}");
        }
    }
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}
